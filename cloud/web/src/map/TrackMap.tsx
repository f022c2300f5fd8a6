import type { Feature, FeatureCollection, MultiLineString } from 'geojson';
import { type GeoJSONSource, LngLatBounds } from 'maplibre-gl';
import { useEffect, useMemo, useRef } from 'react';
import { Button } from 'react-aria-components';
import type { Track } from '../api/types';
import { useIsDark } from '../lib/settings';
import { FLEET_OVERLAY, type MapVehicle, NOTHING, vehicleFeatures } from './fleetOverlay';
import { trackLines } from './track';
import { type Overlay, useMap } from './useMap';
import './map.css';

const EMPTY_LINE: FeatureCollection = { type: 'FeatureCollection', features: [] };

const OVERLAY: Overlay = {
  sources: { track: { type: 'geojson', data: EMPTY_LINE }, vehicles: { type: 'geojson', data: NOTHING } },
  layers: (isDark) => [
    {
      id: 'track-casing',
      type: 'line',
      source: 'track',
      layout: { 'line-cap': 'round', 'line-join': 'round' },
      paint: { 'line-color': isDark ? '#0d1210' : '#ffffff', 'line-width': 7 },
    },
    {
      id: 'track',
      type: 'line',
      source: 'track',
      layout: { 'line-cap': 'round', 'line-join': 'round' },
      paint: { 'line-color': isDark ? '#7ab8ff' : '#1d4f91', 'line-width': 3.5 },
    },
    ...FLEET_OVERLAY.layers(isDark),
  ],
};

export function TrackMap({ track, vehicle }: { track: Track | undefined; vehicle: MapVehicle | null }) {
  const container = useRef<HTMLDivElement>(null);
  const isDark = useIsDark();
  const { map, style, error } = useMap(container, OVERLAY, isDark);
  const lines = useMemo(() => (track === undefined ? [] : trackLines(track)), [track]);
  const isFitted = useRef(false);

  const showAll = () => {
    const bounds = new LngLatBounds();
    for (const point of lines.flat()) bounds.extend(point);
    if (vehicle !== null) bounds.extend([vehicle.lon_deg, vehicle.lat_deg]);
    if (map !== null && !bounds.isEmpty()) map.fitBounds(bounds, { padding: 50, maxZoom: 15, animate: false });
  };

  // biome-ignore lint/correctness/useExhaustiveDependencies: `showAll` reads what the other effects draw; it runs once, when there is something to fit
  useEffect(() => {
    if (map === null || style === 0) return;
    const feature: Feature<MultiLineString> = {
      type: 'Feature',
      geometry: { type: 'MultiLineString', coordinates: lines },
      properties: {},
    };
    void map.getSource<GeoJSONSource>('track')?.setData(feature);
    if (!isFitted.current && (lines.length > 0 || vehicle !== null)) {
      isFitted.current = lines.length > 0;
      showAll();
    }
  }, [map, style, lines, vehicle === null]);

  useEffect(() => {
    if (map === null || style === 0) return;
    void map
      .getSource<GeoJSONSource>('vehicles')
      ?.setData(vehicleFeatures(vehicle === null ? [] : [vehicle], null, isDark));
  }, [map, style, vehicle, isDark]);

  return (
    <div className="map-frame">
      <section ref={container} className="map-canvas" aria-label="Map of the track" data-tiles="loading" />
      {error !== null && <p className="map-error">{error}</p>}
      <div className="map-tools">
        <Button className="button" onPress={showAll}>
          Show whole track
        </Button>
      </div>
    </div>
  );
}
