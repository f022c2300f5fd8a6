import { useEffect, useState, useSyncExternalStore } from 'react';
import type { UnitSystem } from './units';

export type Theme = 'system' | 'light' | 'dark';

const listeners = new Set<() => void>();

function read(key: string): string | null {
  try {
    return localStorage.getItem(`milepost.${key}`);
  } catch {
    return null; // storage is forbidden: settings live as long as the page
  }
}

function write(key: string, value: string): void {
  try {
    localStorage.setItem(`milepost.${key}`, value);
  } catch {
    // see read()
  }
}

const savedTheme = read('theme');
const savedUnits = read('units');
let theme: Theme = savedTheme === 'light' || savedTheme === 'dark' ? savedTheme : 'system';
let units: UnitSystem = savedUnits === 'imperial' ? 'imperial' : 'metric';

const subscribe = (listener: () => void) => {
  listeners.add(listener);
  return () => void listeners.delete(listener);
};
const tell = () => {
  for (const listener of listeners) listener();
};

export function setTheme(next: Theme): void {
  theme = next;
  write('theme', next);
  if (next === 'system') delete document.documentElement.dataset.theme;
  else document.documentElement.dataset.theme = next;
  tell();
}

export function setUnits(next: UnitSystem): void {
  units = next;
  write('units', next);
  tell();
}

export const useTheme = (): Theme => useSyncExternalStore(subscribe, () => theme);

export const useUnits = (): UnitSystem => useSyncExternalStore(subscribe, () => units);

/** Whether a media query holds, followed while it changes. */
export function useMedia(query: string): boolean {
  const [holds, setHolds] = useState(() => matchMedia(query).matches);
  useEffect(() => {
    const list = matchMedia(query);
    const update = () => setHolds(list.matches);
    update();
    list.addEventListener('change', update);
    return () => list.removeEventListener('change', update);
  }, [query]);
  return holds;
}

/** The theme that canvases must draw in. */
export function useIsDark(): boolean {
  const chosen = useTheme();
  const isSystemDark = useMedia('(prefers-color-scheme: dark)');
  return chosen === 'system' ? isSystemDark : chosen === 'dark';
}

export const useReducedMotion = (): boolean => useMedia('(prefers-reduced-motion: reduce)');
