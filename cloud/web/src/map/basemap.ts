import type { ExpressionSpecification, LayerSpecification, SourceSpecification } from 'maplibre-gl';

/** `text-font` names the page's own fonts; MapLibre reads the weight from the first name, so an unknown one sets it. */
export const REGULAR = ['Segoe UI', 'Roboto', 'Noto Sans', 'system-ui'];
export const BOLD = ['Milepost Bold', 'Segoe UI', 'Roboto', 'Noto Sans', 'system-ui'];

export const SOURCES: Record<string, SourceSpecification> = {
  world: { type: 'vector', url: 'pmtiles://world', attribution: 'Natural Earth' },
  region: {
    type: 'vector',
    url: 'pmtiles://region',
    attribution:
      '<a href="https://www.openstreetmap.org/copyright" target="_blank" rel="noopener">© OpenStreetMap contributors</a>',
  },
};

const LIGHT = {
  sea: '#c9dadd',
  land: '#f3f1ea',
  water: '#bcd3d8',
  forest: '#dfe7d6',
  green: '#e8ecdc',
  built: '#e9e5dc',
  building: '#dcd6ca',
  casing: '#c6bfae',
  minor: '#ffffff',
  major: '#f7dc9b',
  path: '#d9d3c6',
  rail: '#b9b5ab',
  border: '#8d8a98',
  text: '#3c4842',
  roadText: '#59564d',
  waterText: '#31606b',
  halo: '#fbfaf6',
};

const DARK: typeof LIGHT = {
  sea: '#0c1a1f',
  land: '#161c1a',
  water: '#10272e',
  forest: '#18241e',
  green: '#1a211d',
  built: '#1d2321',
  building: '#28302d',
  casing: '#0d1210',
  minor: '#333c38',
  major: '#5d5436',
  path: '#29312e',
  rail: '#3d4542',
  border: '#6d6b7c',
  text: '#d3dcd7',
  roadText: '#b8b6ac',
  waterText: '#8fbecb',
  halo: '#0d1210',
};

const isClass = (...names: string[]): ExpressionSpecification => ['in', ['get', 'class'], ['literal', names]];
const MAJOR = isClass(
  'motorway',
  'trunk',
  'primary',
  'secondary',
  'motorway_link',
  'trunk_link',
  'primary_link',
  'secondary_link',
);
const FOOT = isClass('footway', 'path', 'steps', 'cycleway', 'track');
const width = (...stops: number[]): ExpressionSpecification => [
  'interpolate',
  ['exponential', 1.5],
  ['zoom'],
  ...stops,
];

/** The layers under everything of ours: calm, so that the vehicles are what one sees. */
export function baseLayers(isDark: boolean): LayerSpecification[] {
  const c = isDark ? DARK : LIGHT;
  const region = { source: 'region' } as const;
  const round = { 'line-cap': 'round', 'line-join': 'round' } as const;
  return [
    { id: 'sea', type: 'background', paint: { 'background-color': c.sea } },
    { id: 'land', type: 'fill', source: 'world', 'source-layer': 'land', paint: { 'fill-color': c.land } },
    { id: 'lakes', type: 'fill', source: 'world', 'source-layer': 'lakes', paint: { 'fill-color': c.water } },
    {
      id: 'borders',
      type: 'line',
      source: 'world',
      'source-layer': 'borders',
      maxzoom: 7,
      paint: { 'line-color': c.border, 'line-width': 0.8 },
    },
    {
      id: 'landuse',
      type: 'fill',
      ...region,
      'source-layer': 'landuse',
      paint: {
        'fill-color': [
          'match',
          ['get', 'class'],
          'forest',
          c.forest,
          ['residential', 'industrial', 'quarry'],
          c.built,
          c.green,
        ],
      },
    },
    { id: 'water', type: 'fill', ...region, 'source-layer': 'water', paint: { 'fill-color': c.water } },
    {
      id: 'waterways',
      type: 'line',
      ...region,
      'source-layer': 'waterways',
      paint: { 'line-color': c.water, 'line-width': width(8, 0.6, 14, 2.5) },
    },
    { id: 'buildings', type: 'fill', ...region, 'source-layer': 'buildings', paint: { 'fill-color': c.building } },
    {
      id: 'boundary',
      type: 'line',
      ...region,
      'source-layer': 'boundary',
      filter: ['==', ['get', 'admin_level'], 2],
      paint: { 'line-color': c.border, 'line-width': 1.4, 'line-dasharray': [3, 2] },
    },
    {
      id: 'rail',
      type: 'line',
      ...region,
      'source-layer': 'rail',
      paint: { 'line-color': c.rail, 'line-width': 1.2, 'line-dasharray': [4, 2] },
    },
    {
      id: 'paths',
      type: 'line',
      ...region,
      'source-layer': 'roads',
      minzoom: 13.5,
      filter: FOOT,
      paint: { 'line-color': c.path, 'line-width': 1, 'line-dasharray': [2, 1.5] },
    },
    {
      id: 'minor-casing',
      type: 'line',
      ...region,
      'source-layer': 'roads',
      minzoom: 12,
      filter: ['all', ['!', MAJOR], ['!', FOOT]],
      layout: round,
      paint: { 'line-color': c.casing, 'line-width': width(12, 1, 14, 4, 18, 18) },
    },
    {
      id: 'minor',
      type: 'line',
      ...region,
      'source-layer': 'roads',
      filter: ['all', ['!', MAJOR], ['!', FOOT]],
      layout: round,
      paint: { 'line-color': c.minor, 'line-width': width(10, 0.4, 12, 0.8, 14, 3, 18, 16) },
    },
    {
      id: 'major-casing',
      type: 'line',
      ...region,
      'source-layer': 'roads',
      filter: MAJOR,
      layout: round,
      paint: { 'line-color': c.casing, 'line-width': width(8, 1.4, 11, 3, 14, 7, 18, 24) },
    },
    {
      id: 'major',
      type: 'line',
      ...region,
      'source-layer': 'roads',
      filter: MAJOR,
      layout: round,
      paint: { 'line-color': c.major, 'line-width': width(8, 0.8, 11, 2, 14, 5, 18, 21) },
    },
    {
      id: 'road-names',
      type: 'symbol',
      ...region,
      'source-layer': 'roads',
      minzoom: 13.5,
      filter: ['all', ['has', 'name'], ['!', FOOT]],
      layout: { 'symbol-placement': 'line', 'text-field': ['get', 'name'], 'text-size': 11.5, 'text-font': REGULAR },
      paint: { 'text-color': c.roadText, 'text-halo-color': c.halo, 'text-halo-width': 1.4 },
    },
    {
      id: 'water-names',
      type: 'symbol',
      ...region,
      'source-layer': 'waterways',
      minzoom: 11,
      filter: ['all', ['has', 'name'], isClass('river')],
      layout: { 'symbol-placement': 'line', 'text-field': ['get', 'name'], 'text-size': 12, 'text-font': REGULAR },
      paint: { 'text-color': c.waterText, 'text-halo-color': c.halo, 'text-halo-width': 1.2 },
    },
    {
      id: 'countries',
      type: 'symbol',
      source: 'world',
      'source-layer': 'countries',
      maxzoom: 8,
      layout: { 'text-field': ['get', 'name'], 'text-size': 13, 'text-font': BOLD, 'symbol-sort-key': ['get', 'rank'] },
      paint: { 'text-color': c.text, 'text-halo-color': c.halo, 'text-halo-width': 1.4 },
    },
    {
      id: 'places',
      type: 'symbol',
      ...region,
      'source-layer': 'places',
      filter: isClass('city', 'town', 'village', 'hamlet', 'suburb'),
      layout: {
        'text-field': ['get', 'name'],
        'text-size': [
          'interpolate',
          ['linear'],
          ['zoom'],
          9,
          ['match', ['get', 'class'], ['city', 'town'], 13, 11],
          14,
          ['match', ['get', 'class'], ['city', 'town'], 18, 14],
        ],
        'text-font': BOLD,
        'text-max-width': 8,
        'text-padding': 6,
      },
      paint: { 'text-color': c.text, 'text-halo-color': c.halo, 'text-halo-width': 1.6 },
    },
  ];
}
