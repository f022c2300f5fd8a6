import {
  type LayerSpecification,
  Map as MapLibreMap,
  NavigationControl,
  ScaleControl,
  type SourceSpecification,
  type StyleSpecification,
} from 'maplibre-gl';
import 'maplibre-gl/dist/maplibre-gl.css';
import { type RefObject, useEffect, useState } from 'react';
import { useUnits } from '../lib/settings';
import { loadArchives } from './archives';
import { baseLayers, SOURCES } from './basemap';
import { provideIcons } from './icons';

/** What a page draws over the basemap. Must be a constant of its module: a new object makes a new map. */
export type Overlay = {
  sources: Record<string, SourceSpecification>;
  layers: (isDark: boolean) => LayerSpecification[];
};

export type MapHandle = {
  map: MapLibreMap | null;
  /** Grows each time a style is ready: data must be set again then. */
  style: number;
  error: string | null;
};

function makeStyle(overlay: Overlay, isDark: boolean): StyleSpecification {
  const base = baseLayers(isDark);
  const ours = overlay.layers(isDark);
  return {
    version: 8, // no `glyphs`: MapLibre 6 draws labels with the page's fonts
    sources: { ...SOURCES, ...overlay.sources },
    layers: [
      ...base.filter(({ type }) => type !== 'symbol'),
      ...ours.filter(({ type }) => type === 'line'), // a track goes under the names of places
      ...base.filter(({ type }) => type === 'symbol'),
      ...ours.filter(({ type }) => type !== 'line'),
    ],
  };
}

/** A MapLibre map in `container` for as long as the component lives, following the theme. */
export function useMap(container: RefObject<HTMLDivElement | null>, overlay: Overlay, isDark: boolean): MapHandle {
  const [map, setMap] = useState<MapLibreMap | null>(null);
  const [style, setStyle] = useState(0);
  const [error, setError] = useState<string | null>(null);
  const units = useUnits();

  // biome-ignore lint/correctness/useExhaustiveDependencies: a change of theme restyles the map below, it makes no new one
  useEffect(() => {
    let made: MapLibreMap | undefined;
    let isGone = false;
    loadArchives()
      .then(() => {
        if (isGone || container.current === null) return;
        made = new MapLibreMap({
          container: container.current,
          style: makeStyle(overlay, isDark),
          center: [9.53, 47.14],
          zoom: 9.5,
          minZoom: 1,
          maxZoom: 18,
          attributionControl: { compact: false },
          dragRotate: false,
          pitchWithRotate: false,
          touchPitch: false,
        });
        const element = container.current;
        made.touchZoomRotate.disableRotation();
        made.keyboard.disableRotation();
        made.addControl(new NavigationControl({ showCompass: false }), 'top-right');
        provideIcons(made);
        made.on('style.load', () => setStyle((count) => count + 1));
        made.on('idle', () => {
          element.dataset.tiles = made?.areTilesLoaded() === true ? 'loaded' : 'loading';
        });
        setMap(made);
      })
      .catch((reason: unknown) => setError(reason instanceof Error ? reason.message : String(reason)));
    return () => {
      isGone = true;
      setMap(null);
      made?.remove();
    };
  }, [container, overlay]);

  useEffect(() => {
    if (map === null) return;
    const scale = new ScaleControl({ unit: units });
    map.addControl(scale, 'bottom-left');
    return () => {
      if (map._removed !== true) map.removeControl(scale);
    };
  }, [map, units]);

  useEffect(() => {
    if (map !== null) map.setStyle(makeStyle(overlay, isDark), { diff: false });
  }, [map, overlay, isDark]);

  return { map, style, error };
}
