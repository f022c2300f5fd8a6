import type { FeatureCollection, Point } from 'geojson';
import type { VehicleStatus } from '../api/types';
import { STATUS_SHAPES } from '../lib/shapes';
import { BOLD } from './basemap';
import { iconName } from './icons';
import type { Overlay } from './useMap';

export type MapVehicle = {
  id: number;
  name: string;
  status: VehicleStatus;
  lat_deg: number;
  lon_deg: number;
  heading_deg: number | null;
};

export const NOTHING: FeatureCollection<Point> = { type: 'FeatureCollection', features: [] };

/** Vehicles as map features: the icon's name, how far it turns, and whether it is the chosen one. */
export const vehicleFeatures = (
  vehicles: readonly MapVehicle[],
  selectedId: number | null,
  isDark: boolean,
): FeatureCollection<Point> => ({
  type: 'FeatureCollection',
  features: vehicles.map((vehicle) => ({
    type: 'Feature',
    id: vehicle.id,
    geometry: { type: 'Point', coordinates: [vehicle.lon_deg, vehicle.lat_deg] },
    properties: {
      id: vehicle.id,
      name: vehicle.name,
      icon: iconName(vehicle.status, isDark),
      turn: STATUS_SHAPES[vehicle.status].turns ? (vehicle.heading_deg ?? 0) : 0,
      selected: vehicle.id === selectedId,
    },
  })),
});

export const FLEET_OVERLAY: Overlay = {
  sources: { vehicles: { type: 'geojson', data: NOTHING } },
  layers: (isDark) => [
    {
      id: 'chosen',
      type: 'circle',
      source: 'vehicles',
      filter: ['get', 'selected'],
      paint: {
        'circle-radius': 24,
        'circle-color': isDark ? '#f2f6f4' : '#12201a',
        'circle-opacity': 0.14,
        'circle-stroke-color': isDark ? '#f2f6f4' : '#12201a',
        'circle-stroke-width': 2.5,
      },
    },
    {
      id: 'vehicles',
      type: 'symbol',
      source: 'vehicles',
      layout: {
        'icon-image': ['get', 'icon'],
        'icon-size': 0.92,
        'icon-rotate': ['get', 'turn'],
        'icon-rotation-alignment': 'map',
        'icon-allow-overlap': true,
        'icon-ignore-placement': true,
        'symbol-sort-key': ['case', ['get', 'selected'], 0, 1],
        'text-field': ['get', 'name'],
        'text-font': BOLD,
        'text-size': 12.5,
        'text-variable-anchor': ['top', 'bottom', 'left', 'right'],
        'text-radial-offset': ['case', ['get', 'selected'], 2.1, 1.25],
        'text-optional': true,
        'text-padding': 1,
      },
      paint: {
        'text-color': isDark ? '#f2f6f4' : '#12201a',
        'text-halo-color': isDark ? '#0d1210' : '#ffffff',
        'text-halo-width': 2,
      },
    },
  ],
};
