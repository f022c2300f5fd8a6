import { useEffect, useLayoutEffect, useRef } from 'react';
import { Button } from 'react-aria-components';
import type uPlot from 'uplot';
import 'uplot/dist/uPlot.min.css';
import type { Span } from '../api/queries';
import type { HistorySeries } from '../api/types';
import { useIsDark, useUnits } from '../lib/settings';
import { unitDigits } from '../lib/units';
import { lineColour } from './palette';
import { makePlot, toColumns } from './plot';
import { describe, type PaneData, readout } from './shape';

type Props = {
  index: number;
  title: string;
  series: HistorySeries;
  data: PaneData;
  tierWords: string;
  span: Span;
  cursorMs: number | null;
  /** True while the keyboard moves the cursor: the pane then sets it, else it follows the pointer by itself. */
  isKeyCursor: boolean;
  isLast: boolean;
  syncKey: string;
  onZoom: (fromMs: number, toMs: number) => void;
  onCursor: (atMs: number | null) => void;
  onRemove: () => void;
};

const HEIGHT = 150;
const TIME_AXIS = 30;

export function Pane(props: Props) {
  const { series, data, index, title, span, isLast, syncKey, cursorMs, isKeyCursor } = props;
  const host = useRef<HTMLDivElement>(null);
  const plot = useRef<uPlot | null>(null);
  const newest = useRef(props);
  newest.current = props;
  const isDark = useIsDark();
  const units = useUnits();
  const height = HEIGHT + (isLast ? TIME_AXIS : 0);
  const colour = lineColour(index, isDark);

  useLayoutEffect(() => {
    const element = host.current;
    if (element === null) return;
    const made = makePlot(
      {
        data: () => newest.current.data,
        title,
        digits: unitDigits(series.unit, units),
        colour,
        isDark,
        isStepped: series.unit === '',
        syncKey,
        width: element.clientWidth,
        height,
        hasTimeAxis: isLast,
        span: () => newest.current.span,
        onZoom: (fromMs, toMs) => newest.current.onZoom(fromMs, toMs),
        onCursor: (atMs) => newest.current.onCursor(atMs),
      },
      element,
    );
    plot.current = made;
    const observer = new ResizeObserver(() => made.setSize({ width: element.clientWidth, height }));
    observer.observe(element);
    return () => {
      observer.disconnect();
      plot.current = null;
      made.destroy();
    };
  }, [title, series.unit, units, colour, isDark, syncKey, height, isLast]);

  // biome-ignore lint/correctness/useExhaustiveDependencies: `span` is read by the plot's own range function; a new one must redraw
  useEffect(() => {
    plot.current?.setData(toColumns(data));
  }, [data, span]);

  useEffect(() => {
    if (plot.current === null || !isKeyCursor) return;
    const left = cursorMs === null ? -10 : plot.current.valToPos(cursorMs / 1000, 'x');
    plot.current.setCursor({ left, top: cursorMs === null ? -10 : 10 }, false);
  }, [cursorMs, isKeyCursor]);

  return (
    <figure className="pane">
      <div className="pane-head">
        <h3>
          <span className="pane-key" style={{ background: colour }} />
          {title}
        </h3>
        <output className="pane-value" aria-live={isKeyCursor ? 'polite' : 'off'}>
          {readout(data, cursorMs, series.unit, units)}
        </output>
        <Button className="button quiet icon" onPress={props.onRemove} aria-label={`Remove ${title}`}>
          <svg viewBox="0 0 20 20" aria-hidden="true">
            <path d="m5 5 10 10M15 5 5 15" />
          </svg>
        </Button>
      </div>
      <div ref={host} className="pane-plot" aria-hidden="true" />
      <figcaption className="visually-hidden">{describe(title, data, series.unit, units, props.tierWords)}</figcaption>
    </figure>
  );
}
