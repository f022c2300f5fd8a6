import { useMemo, useState } from 'react';
import { Button } from 'react-aria-components';
import { formatDateTime, formatNumber } from '../lib/format';
import { useUnits } from '../lib/settings';
import { unitDigits, unitLabel } from '../lib/units';
import { ScrollTable } from '../ui/ScrollTable';
import { type PaneData, tableRows } from './shape';

const STEP = 100;

type Column = { title: string; unit: string; data: PaneData };

/** The charts' numbers as a table. */
export function DataTable({ columns }: { columns: readonly Column[] }) {
  const [limit, setLimit] = useState(STEP);
  const units = useUnits();
  const rows = useMemo(
    () =>
      tableRows(
        columns.map(({ data }) => data),
        limit + 1,
      ),
    [columns, limit],
  );
  return (
    <>
      <ScrollTable label="Values of the charts">
        <thead>
          <tr>
            <th scope="col">Time</th>
            {columns.map(({ title, unit }) => (
              <th key={title} scope="col" className="number">
                {title}
                {unitLabel(unit, units) === '' ? '' : ` (${unitLabel(unit, units)})`}
              </th>
            ))}
          </tr>
        </thead>
        <tbody>
          {rows.slice(0, limit).map(({ atMs, cells }) => (
            <tr key={atMs}>
              <th scope="row">
                <time dateTime={new Date(atMs).toISOString()}>{formatDateTime(atMs)}</time>
              </th>
              {cells.map((value, column) => (
                <td key={columns[column]?.title} className="number">
                  {value === null ? '–' : formatNumber(value, unitDigits(columns[column]?.unit ?? '', units))}
                </td>
              ))}
            </tr>
          ))}
        </tbody>
      </ScrollTable>
      {rows.length > limit && (
        <Button className="button" onPress={() => setLimit(limit + STEP)}>
          Show older rows
        </Button>
      )}
    </>
  );
}
