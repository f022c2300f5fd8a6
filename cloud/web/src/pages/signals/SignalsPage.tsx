import { useQuery } from '@tanstack/react-query';
import { useMemo, useState } from 'react';
import { signalsQuery } from '../../api/queries';
import type { CatalogueSignal } from '../../api/types';
import { useTitle } from '../../app/title';
import { formatDuration, formatNumber, plural } from '../../lib/format';
import { useUnits } from '../../lib/settings';
import { convert, type UnitSystem, unitLabel } from '../../lib/units';
import { ErrorNotice } from '../../ui/ErrorNotice';
import { ScrollTable } from '../../ui/ScrollTable';
import { SearchBox } from '../../ui/SearchBox';
import { Skeleton } from '../../ui/Skeleton';

const trim = (value: number) => formatNumber(value, Number.isInteger(value) ? 0 : Math.abs(value) < 10 ? 2 : 1);

function rangeWords({ min, max, unit, type }: CatalogueSignal, system: UnitSystem): string {
  if (type === 'boolean') return 'yes or no';
  const label = unitLabel(unit, system);
  return `${trim(convert(min, unit, system))} to ${trim(convert(max, unit, system))}${label === '' ? '' : ` ${label}`}`;
}

const periodWords = (seconds: number) => (seconds < 1 ? `${seconds} s` : formatDuration(seconds));

export function SignalsPage() {
  useTitle('Signals');
  const catalogue = useQuery(signalsQuery);
  const units = useUnits();
  const [query, setQuery] = useState('');
  const shown = useMemo(() => {
    const words = query.trim().toLowerCase().split(/\s+/);
    return (catalogue.data?.items ?? []).filter(({ text, name, vss, pid }) => {
      const hay = `${text} ${name} ${vss} ${pid ?? ''}`.toLowerCase();
      return words.every((word) => hay.includes(word));
    });
  }, [catalogue.data, query]);
  return (
    <div className="page">
      <header className="head">
        <div>
          <h1>Signals</h1>
          <p className="muted">
            Everything Milepost can measure, with the path in the COVESA Vehicle Signal Specification
            {catalogue.data === undefined ? '.' : `. Catalogue version ${catalogue.data.version}.`}
          </p>
        </div>
        <SearchBox label="Search signals" placeholder="Name, path or PID" value={query} onChange={setQuery} />
      </header>
      {catalogue.isError && (
        <ErrorNotice
          error={catalogue.error}
          what="The catalogue could not be read."
          onRetry={() => void catalogue.refetch()}
        />
      )}
      {catalogue.isPending && <Skeleton lines={10} label="Reading the catalogue" />}
      {catalogue.data !== undefined && (
        <p className="note" role="status">
          {shown.length === 0 ? 'No signal has these words.' : `${plural(shown.length, 'signal')} listed.`}
        </p>
      )}
      {shown.length > 0 && (
        <ScrollTable label="Signal catalogue">
          <thead>
            <tr>
              <th scope="col">Signal</th>
              <th scope="col">Name in the API</th>
              <th scope="col">Range</th>
              <th scope="col" className="number">
                Read every
              </th>
              <th scope="col" className="number">
                Stale after
              </th>
              <th scope="col">PID</th>
              <th scope="col">VSS path</th>
            </tr>
          </thead>
          <tbody>
            {shown.map((signal) => (
              <tr key={signal.id}>
                <th scope="row" className="is-wide">
                  {signal.text}
                </th>
                <td>
                  <code>{signal.name}</code>
                </td>
                <td className="tabular">{rangeWords(signal, units)}</td>
                <td className="number">{periodWords(signal.period_s)}</td>
                <td className="number">{periodWords(signal.stale_s)}</td>
                <td>{signal.pid === null ? '–' : <code>{signal.pid}</code>}</td>
                <td>
                  <code>{signal.vss}</code>
                </td>
              </tr>
            ))}
          </tbody>
        </ScrollTable>
      )}
    </div>
  );
}
