import { useQuery, useQueryClient } from '@tanstack/react-query';
import { Link, useSearch } from '@tanstack/react-router';
import { useMemo, useState } from 'react';
import { remove, send } from '../../api/client';
import { type Claim, claimsQuery, type NewClaim } from '../../api/enrolment';
import { vehiclesQuery } from '../../api/queries';
import { useTitle } from '../../app/title';
import { useNow } from '../../lib/clock';
import { ActionForm } from '../../ui/ActionForm';
import { Age, Day, toMs } from '../../ui/Age';
import { Confirm } from '../../ui/Confirm';
import { ErrorNotice } from '../../ui/ErrorNotice';
import { Panel } from '../../ui/Panel';
import { ScrollTable } from '../../ui/ScrollTable';
import { Skeleton } from '../../ui/Skeleton';
import { ClaimSheet } from './ClaimSheet';
import { stateOf } from './claimWords';

type Names = ReadonlyMap<number, string>;

function MakePanel({ names, onMade }: { names: Names; onMade: (claims: NewClaim[]) => void }) {
  const client = useQueryClient();
  const { vehicle } = useSearch({ from: '/admin/claims' });
  const make = async (form: FormData) => {
    const chosen = String(form.get('vehicle'));
    const order = {
      count: Number(form.get('count')),
      days: Number(form.get('days')),
      vehicle_id: chosen === '' ? null : Number(chosen),
    };
    onMade((await send<{ items: NewClaim[] }>('POST', '/claim-codes', order)).items);
    await client.invalidateQueries({ queryKey: claimsQuery.queryKey });
  };
  return (
    <Panel title="Let devices in">
      <ActionForm label="Make claim codes" word="Make claim codes" refusal="No code was made." send={make}>
        <div className="fields">
          <label className="field is-short">
            How many
            <input className="input" type="number" name="count" min={1} max={1000} defaultValue={1} required />
          </label>
          <label className="field is-short">
            Good for, days
            <input className="input" type="number" name="days" min={1} max={90} defaultValue={14} required />
          </label>
          <label className="field">
            Vehicle
            {/* Keyed, since the vehicles arrive after the address that names one. */}
            <select className="input" name="vehicle" defaultValue={vehicle ?? ''} key={names.size}>
              <option value="">A new one for each device</option>
              {[...names].map(([id, name]) => (
                <option key={id} value={id}>
                  {name}
                </option>
              ))}
            </select>
            <span className="hint">
              For a vehicle that is here already, the device takes the place of the one before; its history stays.
            </span>
          </label>
        </div>
      </ActionForm>
    </Panel>
  );
}

function ClaimRow({ claim, names }: { claim: Claim; names: Names }) {
  const client = useQueryClient();
  const state = stateOf(claim, useNow());
  const cancel = async () => {
    await remove(`/claim-codes/${claim.id}`);
    await client.invalidateQueries({ queryKey: claimsQuery.queryKey });
  };
  return (
    <tr>
      <th scope="row">
        <code>{claim.begins}-…</code>
      </th>
      <td>{claim.vehicle_id === null ? 'a new one' : (names.get(claim.vehicle_id) ?? claim.vehicle_id)}</td>
      <td>
        <Age ms={toMs(claim.created)} />
      </td>
      <td>
        {state === 'open' && (
          <>
            good until <Day iso={claim.expires} />
          </>
        )}
        {state === 'expired' && <span className="muted">out of date</span>}
        {state === 'used' && claim.device_id === null && <span className="muted">used</span>}
        {state === 'used' && claim.device_id !== null && (
          <>
            let in{' '}
            <Link to="/devices/$id" params={{ id: claim.device_id }} className="row-link">
              {claim.device_id}
            </Link>
          </>
        )}
      </td>
      <td>
        {state !== 'used' && (
          <Confirm
            word="Cancel"
            label={`Cancel the code ${claim.begins}`}
            title={`Cancel the code ${claim.begins}-…?`}
            act={cancel}
          >
            It lets nobody in any more.
          </Confirm>
        )}
      </td>
    </tr>
  );
}

function ClaimList({ names }: { names: Names }) {
  const claims = useQuery(claimsQuery);
  if (claims.isPending) return <Skeleton lines={4} label="Reading the claim codes" />;
  if (claims.isError)
    return (
      <ErrorNotice
        error={claims.error}
        what="The claim codes could not be read."
        onRetry={() => void claims.refetch()}
      />
    );
  if (claims.data.items.length === 0) return <p className="empty">No claim code has been made yet.</p>;
  return (
    <ScrollTable label="Claim codes">
      <thead>
        <tr>
          <th scope="col">Begins with</th>
          <th scope="col">Vehicle</th>
          <th scope="col">Made</th>
          <th scope="col">State</th>
          <th scope="col">Change</th>
        </tr>
      </thead>
      <tbody>
        {claims.data.items.map((claim) => (
          <ClaimRow key={claim.id} claim={claim} names={names} />
        ))}
      </tbody>
    </ScrollTable>
  );
}

export function ClaimsPage() {
  useTitle('Claim codes');
  const vehicles = useQuery(vehiclesQuery);
  const [made, setMade] = useState<NewClaim[]>([]);
  const names = useMemo(() => new Map((vehicles.data ?? []).map(({ id, name }) => [id, name])), [vehicles.data]);
  return (
    <>
      <header className="head">
        <div>
          <h1>Claim codes</h1>
          <p className="muted">Each lets one device into the fleet, once.</p>
        </div>
      </header>
      {made.length > 0 && <ClaimSheet claims={made} names={names} onDone={() => setMade([])} />}
      <MakePanel names={names} onMade={setMade} />
      <ClaimList names={names} />
    </>
  );
}
