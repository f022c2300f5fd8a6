import { useQuery, useQueryClient } from '@tanstack/react-query';
import { useState } from 'react';
import { Checkbox, CheckboxGroup, Label } from 'react-aria-components';
import { remove, send } from '../../api/client';
import { type ApiKey, keysQuery, meQuery, type NewApiKey } from '../../api/people';
import { useTitle } from '../../app/title';
import { ActionForm } from '../../ui/ActionForm';
import { Age, Day, toMs } from '../../ui/Age';
import { Confirm } from '../../ui/Confirm';
import { ErrorNotice } from '../../ui/ErrorNotice';
import { Once } from '../../ui/Once';
import { Panel } from '../../ui/Panel';
import { ScrollTable } from '../../ui/ScrollTable';
import { Skeleton } from '../../ui/Skeleton';

/** What a key can be given; the server decides, and refuses what is not here any more. */
const SCOPE_WORDS: Readonly<Record<string, string>> = {
  'catalogue.read': 'Read the signal catalogue',
  'fleet.read': 'See vehicles and what they do now',
  'history.read': 'Read history, tracks and events',
  'devices.read': 'See devices and their ledgers',
  'audit.read': 'Read the audit log',
  'members.read': 'See who belongs to the company',
  'vehicles.watch': 'Watch vehicles second by second',
  'history.pull': 'Ask devices for old data',
  'vehicles.change': 'Change vehicles',
  'devices.manage': 'Let devices in, move and revoke them',
};

function MakePanel() {
  const client = useQueryClient();
  const me = useQuery(meQuery);
  const [made, setMade] = useState<NewApiKey | null>(null);
  const [actions, setActions] = useState<string[]>([]);
  const make = async (form: FormData) => {
    const order = { name: String(form.get('name')), days: Number(form.get('days')), actions };
    setMade(await send<NewApiKey>('POST', '/api-keys', order));
    setActions([]);
    await client.invalidateQueries({ queryKey: keysQuery.queryKey });
  };
  const offered = Object.entries(SCOPE_WORDS).filter(([action]) => me.data?.actions.includes(action));
  return (
    <Panel title="Make a key">
      {made !== null && (
        <Once label={`The key ${made.name}`} text={made.token} onDone={() => setMade(null)}>
          It goes into the header <code>Authorization: Bearer</code>, and is shown this once. It is good until{' '}
          <Day iso={made.expires} />.
        </Once>
      )}
      <ActionForm label="Make an API key" word="Make the key" refusal="No key was made." send={make}>
        <div className="fields">
          <label className="field">
            Name
            <input className="input" name="name" maxLength={80} autoComplete="off" required />
            <span className="hint">What will use it, such as “payroll export”.</span>
          </label>
          <label className="field is-short">
            Good for, days
            <input className="input" type="number" name="days" min={1} max={366} defaultValue={90} required />
          </label>
        </div>
        <CheckboxGroup className="checks" value={actions} onChange={setActions}>
          <Label>It may</Label>
          {offered.map(([action, words]) => (
            <Checkbox key={action} value={action}>
              {words}
            </Checkbox>
          ))}
        </CheckboxGroup>
      </ActionForm>
    </Panel>
  );
}

function KeyRow({ apiKey }: { apiKey: ApiKey }) {
  const client = useQueryClient();
  const end = async () => {
    await remove(`/api-keys/${apiKey.id}`);
    await client.invalidateQueries({ queryKey: keysQuery.queryKey });
  };
  return (
    <tr>
      <th scope="row">{apiKey.name}</th>
      <td>{apiKey.actions.map((action) => SCOPE_WORDS[action] ?? action).join('; ')}</td>
      <td>
        <Day iso={apiKey.created} />
      </td>
      <td>
        <Age ms={toMs(apiKey.last_used)} none="never" />
      </td>
      <td>
        <Day iso={apiKey.expires} />
      </td>
      <td>
        <Confirm word="End" label={`End the key ${apiKey.name}`} title={`End the key ${apiKey.name}?`} act={end}>
          Whatever uses it is refused from now on.
        </Confirm>
      </td>
    </tr>
  );
}

export function KeysPage() {
  useTitle('API keys');
  const keys = useQuery(keysQuery);
  return (
    <>
      <header className="head">
        <div>
          <h1>API keys</h1>
          <p className="muted">For machines: each with what it may do, and an end.</p>
        </div>
      </header>
      {keys.isPending && <Skeleton lines={4} label="Reading the keys" />}
      {keys.isError && (
        <ErrorNotice error={keys.error} what="The keys could not be read." onRetry={() => void keys.refetch()} />
      )}
      {keys.data?.items.length === 0 && <p className="empty">There is no key that is good.</p>}
      {keys.data !== undefined && keys.data.items.length > 0 && (
        <ScrollTable label="API keys">
          <thead>
            <tr>
              <th scope="col">Name</th>
              <th scope="col">May</th>
              <th scope="col">Made</th>
              <th scope="col">Last used</th>
              <th scope="col">Good until</th>
              <th scope="col">Change</th>
            </tr>
          </thead>
          <tbody>
            {keys.data.items.map((each) => (
              <KeyRow key={each.id} apiKey={each} />
            ))}
          </tbody>
        </ScrollTable>
      )}
      <MakePanel />
    </>
  );
}
