import type { Map as MapLibreMap } from 'maplibre-gl';
import type { VehicleStatus } from '../api/types';
import { STATUS_SHAPES } from '../lib/shapes';
import { STATUS_COLOURS } from '../lib/status';

const GRID = 24;
const MARGIN = 3;
const SIZE = GRID + 2 * MARGIN;
const RATIO = 3;

const PREFIX = 'status:';

export const iconName = (status: VehicleStatus, isDark: boolean): string =>
  `${PREFIX}${status}:${isDark ? 'dark' : 'light'}`;

function draw(status: VehicleStatus, isDark: boolean): ImageData {
  const canvas = document.createElement('canvas');
  canvas.width = canvas.height = SIZE * RATIO;
  const context = canvas.getContext('2d');
  if (context === null) throw new Error('This browser gives no 2D canvas.');
  const colour = STATUS_COLOURS[isDark ? 'dark' : 'light'][status];
  const paper = isDark ? '#0d1210' : '#ffffff';
  const shape = STATUS_SHAPES[status];
  const outline = new Path2D(shape.outline);
  context.scale(RATIO, RATIO);
  context.translate(MARGIN, MARGIN);
  context.lineJoin = context.lineCap = 'round';
  context.strokeStyle = paper; // the rim that lifts the shape off the map
  context.lineWidth = 5;
  context.stroke(outline);
  context.fillStyle = shape.isHollow ? paper : colour;
  context.fill(outline);
  context.strokeStyle = colour;
  context.lineWidth = shape.isHollow ? 2.6 : 1;
  context.stroke(outline);
  context.strokeStyle = shape.isHollow ? colour : paper;
  context.lineWidth = 2.2;
  if (shape.mark !== '') context.stroke(new Path2D(shape.mark));
  return context.getImageData(0, 0, canvas.width, canvas.height);
}

/** Draw a vehicle icon when the style first asks for it. */
export function provideIcons(map: MapLibreMap): void {
  map.setMissingStyleImageResolver((id) => {
    const [prefix, status, theme] = id.split(':');
    if (`${prefix}:` !== PREFIX || status === undefined || map.hasImage(id)) return;
    map.addImage(id, draw(status as VehicleStatus, theme === 'dark'), { pixelRatio: RATIO });
  });
}
