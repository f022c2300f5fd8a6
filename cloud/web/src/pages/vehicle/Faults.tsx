import { useQuery } from '@tanstack/react-query';
import { faultsQuery } from '../../api/queries';
import type { Fault, FrozenValue } from '../../api/types';
import { formatValue, plural, shortText } from '../../lib/format';
import { useUnits } from '../../lib/settings';
import { Age, toMs } from '../../ui/Age';
import { ErrorNotice } from '../../ui/ErrorNotice';
import { Panel } from '../../ui/Panel';
import { Skeleton } from '../../ui/Skeleton';

const STATUS_WORDS: Record<Fault['status'], string> = {
  stored: 'Stored: confirmed by the engine computer',
  pending: 'Pending: seen once, not confirmed yet',
  permanent: 'Permanent: only the engine computer can clear it',
};

function Frozen({ values }: { values: readonly FrozenValue[] }) {
  const units = useUnits();
  return (
    <details className="frozen">
      <summary>{plural(values.length, 'value')} from the moment it was set</summary>
      <dl>
        {values.map(({ signal, value, unit, text }) => (
          <div key={signal}>
            <dt>{shortText(text)}</dt>
            <dd>{formatValue(value, unit, units)}</dd>
          </div>
        ))}
      </dl>
    </details>
  );
}

function FaultItem({ fault }: { fault: Fault }) {
  return (
    <li className={fault.cleared_at === null ? 'fault' : 'fault is-cleared'}>
      <code className="fault-code">{fault.code}</code>
      <div>
        <p className="fault-text">{fault.text ?? 'A code of the maker; its meaning is not public.'}</p>
        <p className="muted">
          {fault.cleared_at === null ? STATUS_WORDS[fault.status] : 'Cleared'}
          {' · '}
          {fault.cleared_at === null ? 'first seen ' : 'cleared '}
          <Age ms={toMs(fault.cleared_at ?? fault.first_seen)} />
        </p>
        {fault.freeze.length > 0 && <Frozen values={fault.freeze} />}
      </div>
    </li>
  );
}

export function Faults({ id }: { id: number }) {
  const faults = useQuery(faultsQuery(id));
  const items = faults.data?.items ?? [];
  const sorted = [...items].sort((a, b) => Number(a.cleared_at !== null) - Number(b.cleared_at !== null));
  return (
    <Panel title="Trouble codes">
      {faults.isError && (
        <ErrorNotice
          error={faults.error}
          what="The trouble codes could not be read."
          onRetry={() => void faults.refetch()}
        />
      )}
      {faults.isPending && <Skeleton lines={2} label="Reading the trouble codes" />}
      {faults.data !== undefined && items.length === 0 && <p className="empty">No trouble code was ever set.</p>}
      {sorted.length > 0 && (
        <ul className="plain">
          {sorted.map((fault) => (
            <FaultItem key={`${fault.code} ${fault.status} ${fault.first_seen}`} fault={fault} />
          ))}
        </ul>
      )}
    </Panel>
  );
}
