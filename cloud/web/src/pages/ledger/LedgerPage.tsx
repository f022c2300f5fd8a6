import { useQuery } from '@tanstack/react-query';
import { Link, useParams } from '@tanstack/react-router';
import { ApiError } from '../../api/client';
import { deviceQuery, ledgerQuery } from '../../api/queries';
import type { Ledger } from '../../api/types';
import { useTitle } from '../../app/title';
import { formatCount, plural } from '../../lib/format';
import { Age, toMs } from '../../ui/Age';
import { ErrorNotice } from '../../ui/ErrorNotice';
import { Panel } from '../../ui/Panel';
import { Skeleton } from '../../ui/Skeleton';
import { NotFoundPage } from '../NotFoundPage';
import { IdentityPanel } from './IdentityPanel';
import { SeqStrip } from './SeqStrip';
import { Silences } from './Silences';
import type { FrameKind } from './strip';
import { KIND_MEANING, KIND_WORDS, verdict } from './words';
import './ledger.css';

const TOTALS: readonly ('stored' | 'pending' | 'lost' | 'quarantined')[] = ['stored', 'pending', 'lost', 'quarantined'];

function Totals({ ledger }: { ledger: Ledger }) {
  return (
    <dl className="totals">
      {TOTALS.map((kind: FrameKind & keyof Ledger['totals']) => (
        <div key={kind} className={ledger.totals[kind] === 0 ? 'is-zero' : undefined}>
          <dt>
            <span className={`swatch kind-${kind}`} /> {KIND_WORDS[kind]}
          </dt>
          <dd className="total">{formatCount(ledger.totals[kind])}</dd>
          <dd className="muted">{KIND_MEANING[kind]}</dd>
        </div>
      ))}
    </dl>
  );
}

function Forks({ ledger }: { ledger: Ledger }) {
  const forked = ledger.streams.filter((stream) => stream.forked.length > 0);
  if (forked.length === 0) return null;
  return (
    <div className="notice bad" role="alert">
      <p>
        <strong>This device’s history has split.</strong> A frame came with a number that another frame already has, and
        with other contents. That happens when a memory card is copied, or restored from a backup. The first is counted,
        the other kept in quarantine; the device was told and starts a new stream.
      </p>
      <ul>
        {forked.map((stream) => (
          <li key={stream.stream_id}>
            Stream <code>{stream.stream_id.slice(0, 8)}</code>: {stream.forked.length === 1 ? 'number' : 'numbers'}{' '}
            {stream.forked.map(formatCount).join(', ')}
          </li>
        ))}
      </ul>
    </div>
  );
}

function DeviceHead({ id }: { id: string }) {
  const device = useQuery(deviceQuery(id));
  const { data } = device;
  return (
    <header className="head">
      <div>
        <h1>{id}</h1>
        <p className="muted">
          Delivery ledger: what became of every frame of this device
          {data?.agent_version == null ? '' : `, version ${data.agent_version}`}
        </p>
      </div>
      <dl className="head-facts">
        <div>
          <dt>Vehicle</dt>
          <dd>
            {data?.vehicle_id == null ? (
              'none'
            ) : (
              <Link to="/vehicles/$id" params={{ id: String(data.vehicle_id) }}>
                {data.vehicle_name ?? `Vehicle ${data.vehicle_id}`}
              </Link>
            )}
          </dd>
        </div>
        <div>
          <dt>Last heard</dt>
          <dd>
            <Age ms={toMs(data?.last_seen ?? null)} />
          </dd>
        </div>
      </dl>
    </header>
  );
}

export function LedgerPage() {
  const { id } = useParams({ from: '/devices/$id' });
  useTitle(`${id}, delivery ledger`);
  const ledger = useQuery(ledgerQuery(id));
  if (ledger.error instanceof ApiError && ledger.error.status === 404) return <NotFoundPage what="This device" />;
  const { data } = ledger;
  const words = data === undefined ? null : verdict(data.totals, data.streams);
  return (
    <div className="page">
      <nav aria-label="Breadcrumb" className="crumbs">
        <Link to="/devices">Devices</Link>
      </nav>
      <DeviceHead id={id} />
      {ledger.isError && (
        <ErrorNotice error={ledger.error} what="The ledger could not be read." onRetry={() => void ledger.refetch()} />
      )}
      {ledger.isPending && <Skeleton lines={8} label="Reading the ledger" />}
      {data !== undefined && words !== null && (
        <>
          <Forks ledger={data} />
          <section className={words.isBad ? 'verdict is-broken' : 'verdict'} aria-labelledby="verdict">
            <h2 id="verdict">{words.title}</h2>
            <p>{words.text}</p>
            <Totals ledger={data} />
            <p className="note">
              As of <Age ms={toMs(data.as_of)} />. You need not believe this page:{' '}
              <Link to="/check">how to check it yourself</Link>.
            </p>
          </section>
          <Panel title="Every number, from the first to the last">
            <p className="note">
              A device numbers its frames 1, 2, 3 and so on, and starts a new stream of numbers when its memory is new,
              wiped or restored. {plural(data.streams.length, 'stream')} so far.
            </p>
            <ul className="legend">
              {(Object.keys(KIND_WORDS) as FrameKind[]).map((kind) => (
                <li key={kind}>
                  <span className={`swatch kind-${kind}`} /> {KIND_WORDS[kind]}
                </li>
              ))}
            </ul>
            {data.streams.map((stream) => (
              <SeqStrip key={stream.stream_id} stream={stream} />
            ))}
          </Panel>
          <Silences silences={data.silences} />
        </>
      )}
      <IdentityPanel id={id} />
    </div>
  );
}
