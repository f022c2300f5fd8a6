import { useEffect } from 'react';

/** The browser's title for a page: what one reads in the tab, and what a screen reader says first. */
export function useTitle(title: string): void {
  useEffect(() => {
    document.title = `${title} · Milepost`;
  }, [title]);
}
