import { useQuery, useQueryClient } from '@tanstack/react-query';
import { Link, useNavigate } from '@tanstack/react-router';
import { remove, send } from '../../api/client';
import { type DeviceIdentity, type DeviceKey, devicePath, identityQuery } from '../../api/enrolment';
import { vehiclesQuery } from '../../api/queries';
import { useMay } from '../../app/access';
import { ActionForm } from '../../ui/ActionForm';
import { Day } from '../../ui/Age';
import { Confirm } from '../../ui/Confirm';
import { ErrorNotice } from '../../ui/ErrorNotice';
import { Panel } from '../../ui/Panel';
import { ScrollTable } from '../../ui/ScrollTable';

function KeyRow({ deviceKey }: { deviceKey: DeviceKey }) {
  return (
    <tr>
      <th scope="row">
        <code title={deviceKey.public_key}>{deviceKey.public_key.slice(0, 12)}…</code>
      </th>
      <td>
        <Day iso={deviceKey.enrolled} />
      </td>
      <td>
        <Day iso={deviceKey.expires} />
      </td>
      <td>
        {deviceKey.revoked !== null ? (
          <>
            locked out <Day iso={deviceKey.revoked} />
          </>
        ) : (
          `${deviceKey.connections === 0 ? 'not' : deviceKey.connections === 1 ? '' : `${deviceKey.connections} times`} connected`.trim()
        )}
      </td>
    </tr>
  );
}

function Keys({ identity }: { identity: DeviceIdentity }) {
  if (identity.keys.length === 0)
    return <p className="note">It has no key: it belongs to a demo, was imported, or was never let in.</p>;
  return (
    <ScrollTable label="Keys of this device">
      <thead>
        <tr>
          <th scope="col">Key</th>
          <th scope="col">Let in</th>
          <th scope="col">Token until</th>
          <th scope="col">State</th>
        </tr>
      </thead>
      <tbody>
        {identity.keys.map((each) => (
          <KeyRow key={each.public_key} deviceKey={each} />
        ))}
      </tbody>
    </ScrollTable>
  );
}

function Changes({ identity }: { identity: DeviceIdentity }) {
  const id = identity.device_id;
  const client = useQueryClient();
  const navigate = useNavigate();
  const vehicles = useQuery(vehiclesQuery);
  const known = () =>
    Promise.all([['devices'], ['vehicles']].map((queryKey) => client.invalidateQueries({ queryKey })));
  const move = async (form: FormData) => {
    const chosen = String(form.get('vehicle'));
    await send('PUT', `${devicePath(id)}/vehicle`, { vehicle_id: chosen === '' ? null : Number(chosen) });
    await known();
  };
  const revoke = async () => {
    await send('POST', `${devicePath(id)}/revoke`);
    await known();
  };
  const leave = async () => {
    await remove(devicePath(id));
    await navigate({ to: '/devices' });
    await known();
  };
  const isLockedOut = identity.keys.length > 0 && identity.keys.every(({ revoked }) => revoked !== null);
  return (
    <>
      <ActionForm label="Move the device" word="Move it" refusal="It stays where it is." send={move}>
        <label className="field">
          Vehicle from now on
          <select
            className="input"
            name="vehicle"
            defaultValue={identity.vehicle_id ?? ''}
            key={`${vehicles.data?.length} ${identity.vehicle_id}`}
          >
            <option value="">none</option>
            {vehicles.data?.map((vehicle) => (
              <option key={vehicle.id} value={vehicle.id}>
                {vehicle.name}
              </option>
            ))}
          </select>
          <span className="hint">What it measured before stays with the vehicle it was in.</span>
        </label>
      </ActionForm>
      <div className="button-row">
        {identity.vehicle_id !== null && (
          <Link to="/admin/claims" search={{ vehicle: identity.vehicle_id }} className="button">
            Replace it…
          </Link>
        )}
        {!isLockedOut && identity.keys.length > 0 && (
          <Confirm word="Lock it out" title={`Lock ${id} out?`} act={revoke}>
            Its connection ends now, and its key never opens anything again. To let this box in once more it needs a new
            claim code. What it has sent stays; what it has not sent yet stays on it.
          </Confirm>
        )}
        <Confirm word="Remove it" title={`Remove ${id} from the fleet?`} act={leave}>
          It is locked out and leaves the list. What it measured stays with its vehicles.
        </Confirm>
      </div>
    </>
  );
}

/** Who a device is to the service, and what a manager can do about it. */
export function IdentityPanel({ id }: { id: string }) {
  const identity = useQuery(identityQuery(id));
  const mayManage = useMay()('devices.manage') === true;
  if (identity.isError)
    return (
      <ErrorNotice
        error={identity.error}
        what="Who this device is could not be read."
        onRetry={() => void identity.refetch()}
      />
    );
  if (!identity.isSuccess) return null;
  return (
    <Panel
      title="Identity and place"
      aside={
        <span className={identity.data.is_connected ? 'tag is-on' : 'tag'}>
          {identity.data.is_connected ? 'connected' : 'not connected'}
        </span>
      }
    >
      {identity.data.is_cloned && (
        <div className="notice bad" role="alert">
          <p>
            <strong>Two machines are at work with this device’s key.</strong> Somebody has copied it, perhaps with a
            memory card. Lock it out, and let the real one in again with a new claim code.
          </p>
        </div>
      )}
      <Keys identity={identity.data} />
      {mayManage && <Changes identity={identity.data} />}
    </Panel>
  );
}
