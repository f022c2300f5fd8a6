import { useQuery } from '@tanstack/react-query';
import { type KeyboardEvent, useEffect, useId, useMemo, useState } from 'react';
import { Button, ToggleButton } from 'react-aria-components';
import { historyQuery, signalsQuery } from '../api/queries';
import type { Tier } from '../api/types';
import { serverNow } from '../lib/clock';
import { useUnits } from '../lib/settings';
import { ErrorNotice } from '../ui/ErrorNotice';
import { Skeleton } from '../ui/Skeleton';
import { DataTable } from './DataTable';
import { Pane } from './Pane';
import { RangeControl } from './RangeControl';
import { RANGES, type Range, rangeKey, shift, spanOf, zoom } from './range';
import { SignalPicker } from './SignalPicker';
import { shapeSeries } from './shape';
import './charts.css';

const MOST_PANES = 6;

const TIER_WORDS: Record<Tier, string> = { raw: 'values', '1m': 'minutes', '1h': 'hours' };
const TIER_NOTE: Record<Tier, string> = {
  raw: 'Every sample, thinned for the screen; highest and lowest are kept.',
  '1m': 'One point a minute; the band spans lowest to highest.',
  '1h': 'One point an hour; the band spans lowest to highest.',
};

type Props = {
  vehicleId: number;
  names: readonly string[];
  range: Range;
  onNames: (names: string[]) => void;
  onRange: (range: Range) => void;
};

export function Charts({ vehicleId, names, range, onNames, onRange }: Props) {
  const syncKey = useId();
  const units = useUnits();
  const catalogue = useQuery(signalsQuery);
  const refreshMs = range.kind === 'last' ? RANGES[range.name].refreshMs : 0;
  const history = useQuery(
    historyQuery(vehicleId, names, rangeKey(range), () => spanOf(range, serverNow()), refreshMs),
  );
  const [cursor, setCursor] = useState<{ atMs: number | null; byKey: boolean }>({ atMs: null, byKey: false });
  const [isTable, setIsTable] = useState(false);

  // biome-ignore lint/correctness/useExhaustiveDependencies: a new answer is what moves the end of a running range
  const span = useMemo(() => spanOf(range, serverNow()), [range, history.dataUpdatedAt]);

  useEffect(() => {
    setCursor((old) =>
      old.atMs !== null && (old.atMs < span.fromMs || old.atMs > span.toMs) ? { atMs: null, byKey: true } : old,
    );
  }, [span]);

  const panes = useMemo(() => {
    const bySignal = new Map(history.data?.series.map((series) => [series.signal, series]));
    return names.flatMap((name) => {
      const series = bySignal.get(name);
      if (series === undefined) return [];
      const title = catalogue.data?.items.find((signal) => signal.name === name)?.text ?? name;
      return [{ name, title, unit: series.unit, series, data: shapeSeries(series, units) }];
    });
  }, [names, history.data, catalogue.data, units]);

  const onKeyDown = (event: KeyboardEvent) => {
    if (event.target !== event.currentTarget || event.altKey || event.ctrlKey || event.metaKey) return;
    const step = ((span.toMs - span.fromMs) / 100) * (event.shiftKey ? 10 : 1);
    const at = cursor.atMs ?? span.toMs;
    const moveTo = (ms: number) => setCursor({ atMs: Math.min(span.toMs, Math.max(span.fromMs, ms)), byKey: true });
    const about = cursor.atMs ?? undefined;
    if (event.key === 'ArrowLeft') moveTo(at - step);
    else if (event.key === 'ArrowRight') moveTo(at + step);
    else if (event.key === 'Home') moveTo(span.fromMs);
    else if (event.key === 'End') moveTo(span.toMs);
    else if (event.key === '+' || event.key === '=') onRange(zoom(span, 0.5, about));
    else if (event.key === '-') onRange(zoom(span, 2, about));
    else if (event.key === 'PageUp') onRange(shift(span, -0.5, serverNow()));
    else if (event.key === 'PageDown') onRange(shift(span, 0.5, serverNow()));
    else if (event.key === 'Escape') setCursor({ atMs: null, byKey: true });
    else return;
    event.preventDefault();
  };

  const tier = history.data?.tier ?? 'raw';
  return (
    <div className="charts">
      <div className="charts-bar">
        <RangeControl range={range} span={span} onRange={onRange} />
        <div className="segments" role="group" aria-label="Move and zoom">
          <Button className="segment" onPress={() => onRange(shift(span, -0.5, serverNow()))}>
            Earlier
          </Button>
          <Button className="segment" onPress={() => onRange(shift(span, 0.5, serverNow()))}>
            Later
          </Button>
          <Button className="segment" onPress={() => onRange(zoom(span, 0.5))}>
            Zoom in
          </Button>
          <Button className="segment" onPress={() => onRange(zoom(span, 2))}>
            Zoom out
          </Button>
        </div>
        <ToggleButton className="button" isSelected={isTable} onChange={setIsTable}>
          Data table
        </ToggleButton>
      </div>
      {history.isError && (
        <ErrorNotice
          error={history.error}
          what="The history could not be read."
          onRetry={() => void history.refetch()}
        />
      )}
      {names.length > 0 && history.isPending && <Skeleton lines={6} label="Reading the history" />}
      {panes.length > 0 && (
        <div
          className="panes"
          role="group"
          tabIndex={0}
          onKeyDown={onKeyDown}
          aria-label="Charts. Arrow keys move the cursor, plus and minus zoom, Page Up and Page Down move in time."
        >
          {panes.map((pane, index) => (
            <Pane
              key={pane.name}
              index={index}
              title={pane.title}
              series={pane.series}
              data={pane.data}
              tierWords={TIER_WORDS[tier]}
              span={span}
              cursorMs={cursor.atMs}
              isKeyCursor={cursor.byKey}
              isLast={index === panes.length - 1}
              syncKey={syncKey}
              onZoom={(fromMs, toMs) => onRange(zoom({ fromMs, toMs }, 1))}
              onCursor={(atMs) => setCursor({ atMs, byKey: false })}
              onRemove={() => onNames(names.filter((name) => name !== pane.name))}
            />
          ))}
        </div>
      )}
      {names.length === 0 && <p className="empty">No signal is chosen. Add one to see how it went.</p>}
      {panes.length > 0 && (
        <p className="note">{TIER_NOTE[tier]} Hatched: nothing was measured. Drag across a chart to zoom in.</p>
      )}
      {catalogue.data !== undefined && names.length < MOST_PANES && (
        <SignalPicker
          signals={catalogue.data.items}
          chosen={names}
          onAdd={(name) => {
            if (!names.includes(name)) onNames([...names, name]);
          }}
        />
      )}
      {isTable && panes.length > 0 && <DataTable columns={panes} />}
    </div>
  );
}
