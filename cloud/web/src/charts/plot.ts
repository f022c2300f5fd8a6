import uPlot from 'uplot';
import { formatNumber, LOCALE } from '../lib/format';
import { CHART_COLOURS } from './palette';
import type { Gap, PaneData } from './shape';

const day = new Intl.DateTimeFormat(LOCALE, { day: 'numeric', month: 'short' });
const hour = new Intl.DateTimeFormat(LOCALE, { hour: '2-digit', minute: '2-digit' });
const second = new Intl.DateTimeFormat(LOCALE, { hour: '2-digit', minute: '2-digit', second: '2-digit' });
const FONT = '12px system-ui, sans-serif';

function timeLabels(_: uPlot, splits: number[], __: number, ___: number, step: number): string[] {
  const format = step >= 86_400 ? day : step >= 60 ? hour : second;
  return splits.map((seconds) => format.format(seconds * 1000));
}

/** Hatch the spans in which nothing was measured, so that a gap is not taken for a quiet line. */
function drawGaps(plot: uPlot, gaps: readonly Gap[], colour: string): void {
  const { ctx } = plot;
  const { left, top, width, height } = plot.bbox;
  ctx.save();
  for (const gap of gaps) {
    const from = Math.max(left, plot.valToPos(gap.fromMs / 1000, 'x', true));
    const to = Math.min(left + width, plot.valToPos(gap.toMs / 1000, 'x', true));
    if (to - from < 2) continue;
    ctx.save();
    ctx.beginPath();
    ctx.rect(from, top, to - from, height);
    ctx.clip();
    ctx.strokeStyle = colour;
    ctx.lineWidth = devicePixelRatio;
    const step = 8 * devicePixelRatio;
    ctx.beginPath();
    for (let x = from - height; x < to; x += step) {
      ctx.moveTo(x, top + height);
      ctx.lineTo(x + height, top);
    }
    ctx.stroke();
    ctx.restore();
  }
  ctx.restore();
}

export type PlotInput = {
  data: () => PaneData;
  title: string;
  digits: number;
  colour: string;
  isDark: boolean;
  isStepped: boolean;
  syncKey: string;
  width: number;
  height: number;
  hasTimeAxis: boolean;
  span: () => { fromMs: number; toMs: number };
  onZoom: (fromMs: number, toMs: number) => void;
  onCursor: (atMs: number | null) => void;
};

export const toColumns = ({ x, min, max, value }: PaneData): uPlot.AlignedData => [
  x,
  min ?? value,
  max ?? value,
  value,
];

/** A uPlot of one signal: a band from lowest to highest, the line, hatched gaps, a cursor shared by `syncKey`. */
export function makePlot(input: PlotInput, element: HTMLElement): uPlot {
  const theme = CHART_COLOURS[input.isDark ? 'dark' : 'light'];
  const paths = input.isStepped ? uPlot.paths.stepped?.({ align: 1 }) : undefined;
  const edge: uPlot.Series = { stroke: 'transparent', width: 0, points: { show: false }, ...(paths && { paths }) };
  const axis: uPlot.Axis = {
    stroke: theme.axis,
    font: FONT,
    grid: { stroke: theme.grid, width: 1 },
    ticks: { stroke: theme.grid, width: 1, size: 4 },
  };
  const options: uPlot.Options = {
    width: input.width,
    height: input.height,
    legend: { show: false },
    padding: [8, 12, input.hasTimeAxis ? 0 : 8, 0],
    cursor: {
      sync: { key: input.syncKey, scales: ['x', null], setSeries: false },
      drag: { x: true, y: false, setScale: false },
      points: { size: 9, width: 2 },
      y: false,
    },
    select: { show: true, left: 0, top: 0, width: 0, height: 0 },
    scales: {
      x: {
        time: true,
        range: () => {
          const { fromMs, toMs } = input.span();
          return [fromMs / 1000, toMs / 1000];
        },
      },
      y: { range: (_, low, high) => (low === null || high === null ? [0, 1] : uPlot.rangeNum(low, high, 0.12, true)) },
    },
    axes: [
      { ...axis, values: timeLabels, show: input.hasTimeAxis, size: 30, space: 70 },
      {
        ...axis,
        size: 58,
        space: 28,
        values: (_, splits) => {
          const step = splits.length > 1 ? Math.abs((splits[1] ?? 0) - (splits[0] ?? 0)) : 1;
          const digits = step >= 1 ? 0 : Math.min(4, Math.ceil(-Math.log10(step)));
          return splits.map((value) => formatNumber(value, digits));
        },
      },
    ],
    series: [
      {},
      edge,
      edge,
      { label: input.title, stroke: input.colour, width: 1.75, points: { show: false }, ...(paths && { paths }) },
    ],
    bands: [{ series: [2, 1], fill: `${input.colour}38` }],
    hooks: {
      drawAxes: [(plot) => drawGaps(plot, input.data().gaps, theme.gap)],
      setSelect: [
        (plot) => {
          const { left, width } = plot.select;
          if (width < 4) return;
          input.onZoom(plot.posToVal(left, 'x') * 1000, plot.posToVal(left + width, 'x') * 1000);
          plot.setSelect({ left: 0, top: 0, width: 0, height: 0 }, false);
        },
      ],
      setCursor: [
        (plot) => {
          // Only the pane under the pointer reports; the others follow by sync.
          if (!plot.over.matches(':hover')) return;
          const { left } = plot.cursor;
          input.onCursor(left === undefined || left < 0 ? null : plot.posToVal(left, 'x') * 1000);
        },
      ],
    },
  };
  return new uPlot(options, toColumns(input.data()), element);
}
