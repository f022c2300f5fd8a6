import { useInfiniteQuery, useMutation } from '@tanstack/react-query';
import { useNavigate, useSearch } from '@tanstack/react-router';
import type { FormEvent } from 'react';
import { Button } from 'react-aria-components';
import { download, get } from '../../api/client';
import { type AuditItem, type AuditSearch, auditQuery, type Verification } from '../../api/people';
import { useTitle } from '../../app/title';
import { formatCount, formatDateTime, plural } from '../../lib/format';
import { save } from '../../lib/save';
import { ErrorNotice } from '../../ui/ErrorNotice';
import { ScrollTable } from '../../ui/ScrollTable';
import { Skeleton } from '../../ui/Skeleton';
import { actorKey, actorWords, differences, objectWords, operationWords } from './auditWords';

/** Whether the chain holds, walked by the server when asked; and the whole log as a file to be checked elsewhere. */
function Proof() {
  const check = useMutation({ mutationFn: () => get<Verification>('/audit/verification') });
  const copy = useMutation({ mutationFn: async () => save(await download('/audit/export'), 'audit.ndjson') });
  const failed = check.error ?? copy.error;
  return (
    <>
      <div className="button-row">
        <Button className="button" onPress={() => check.mutate()} isDisabled={check.isPending}>
          {check.isPending ? 'Checking…' : 'Check that it is whole'}
        </Button>
        <Button className="button" onPress={() => copy.mutate()} isDisabled={copy.isPending}>
          {copy.isPending ? 'Exporting…' : 'Export all of it'}
        </Button>
        <span role="status">
          {check.data?.is_whole === true && (
            <>
              Whole: {plural(check.data.entries, 'entry', 'entries')}, the last with the hash{' '}
              <code>{check.data.head.slice(0, 12)}…</code>
            </>
          )}
        </span>
      </div>
      {check.data?.fault != null && (
        <div className="notice bad" role="alert">
          <p>
            <strong>The log is not as it was written.</strong> The first fault is at entry{' '}
            {formatCount(check.data.fault.number)}: {check.data.fault.reason}.
          </p>
        </div>
      )}
      {failed !== null && <ErrorNotice error={failed} what="The log could not be read." />}
    </>
  );
}

function SearchForm({ search, onSearch }: { search: AuditSearch; onSearch: (search: AuditSearch) => void }) {
  const submit = (event: FormEvent<HTMLFormElement>) => {
    event.preventDefault();
    const form = new FormData(event.currentTarget);
    const text = (name: string) => String(form.get(name)).trim();
    const day = (name: string, plusDays: number) => {
      const value = text(name);
      if (value === '') return {};
      const at = new Date(`${value}T00:00`);
      at.setDate(at.getDate() + plusDays);
      return { [name]: at.toISOString() };
    };
    const words = ['actor', 'operation', 'object'].filter((name) => text(name) !== '');
    onSearch({ ...Object.fromEntries(words.map((name) => [name, text(name)])), ...day('from', 0), ...day('to', 1) });
  };
  const dayOf = (iso: string | undefined, minusMs: number) => {
    if (iso === undefined) return '';
    const at = new Date(Date.parse(iso) - minusMs);
    return `${at.getFullYear()}-${String(at.getMonth() + 1).padStart(2, '0')}-${String(at.getDate()).padStart(2, '0')}`;
  };
  return (
    // Keyed: its fields show what was searched for, also when a row or the address did it.
    <form className="action-form" aria-label="Search the log" onSubmit={submit} key={JSON.stringify(search)}>
      <div className="fields">
        <label className="field">
          Who
          <input
            className="input"
            name="actor"
            defaultValue={search.actor}
            placeholder="user, key, user:7"
            maxLength={40}
          />
        </label>
        <label className="field">
          Did what
          <input
            className="input"
            name="operation"
            defaultValue={search.operation}
            placeholder="revoke_device"
            maxLength={60}
          />
        </label>
        <label className="field">
          To what
          <input
            className="input"
            name="object"
            defaultValue={search.object}
            placeholder="device, device:van-01"
            maxLength={101}
          />
        </label>
        <label className="field is-short">
          From
          <input className="input" type="date" name="from" defaultValue={dayOf(search.from, 0)} />
        </label>
        <label className="field is-short">
          To
          <input className="input" type="date" name="to" defaultValue={dayOf(search.to, 1)} />
        </label>
      </div>
      <div className="button-row">
        <Button className="button primary" type="submit">
          Search
        </Button>
        {Object.keys(search).length > 0 && (
          <Button className="button" onPress={() => onSearch({})}>
            Show everything
          </Button>
        )}
      </div>
    </form>
  );
}

function Row({ item, onSearch }: { item: AuditItem; onSearch: (search: AuditSearch) => void }) {
  const fields = differences(item);
  return (
    <tr>
      <td className="number">{formatCount(item.number)}</td>
      <td className="tabular">
        <time dateTime={item.ts}>{formatDateTime(Date.parse(item.ts))}</time>
      </td>
      <th scope="row">
        <button type="button" className="link-button" onClick={() => onSearch({ actor: actorKey(item.actor) })}>
          {actorWords(item.actor)}
        </button>
      </th>
      <td>
        {item.operation === '' ? (
          <span className="muted">–</span>
        ) : (
          <button type="button" className="link-button" onClick={() => onSearch({ operation: item.operation })}>
            {operationWords(item.operation)}
          </button>
        )}
      </td>
      <td>
        <div className="log-change">
          {item.change}
          <button
            type="button"
            className="link-button"
            onClick={() =>
              onSearch({ object: item.object_id === '' ? item.object_kind : `${item.object_kind}:${item.object_id}` })
            }
          >
            {objectWords(item.object_kind, item.object_id)}
          </button>
          <details>
            <summary>Details</summary>
            <dl>
              {fields.map(({ field, text }) => (
                <div key={field} className="log-field">
                  <dt>{field}</dt>
                  <dd>{text}</dd>
                </div>
              ))}
              <div className="log-field">
                <dt>from</dt>
                <dd>
                  {item.address === '' ? 'this service' : item.address}
                  {item.agent !== '' && `, ${item.agent}`}
                </dd>
              </div>
              <div className="log-field">
                <dt>hash</dt>
                <dd>
                  <code>{item.hash}</code>
                </dd>
              </div>
            </dl>
          </details>
        </div>
      </td>
    </tr>
  );
}

export function AuditPage() {
  useTitle('Audit log');
  const search = useSearch({ from: '/admin/audit' });
  const navigate = useNavigate();
  const onSearch = (next: AuditSearch) => void navigate({ to: '/admin/audit', search: next });
  const log = useInfiniteQuery(auditQuery(search));
  const items = log.data?.pages.flatMap((page) => page.items) ?? [];
  return (
    <>
      <header className="head">
        <div>
          <h1>Audit log</h1>
          <p className="muted">
            Who changed what, and who looked at people and at this log. Each entry holds the hash of the one before.
          </p>
        </div>
      </header>
      <Proof />
      <SearchForm search={search} onSearch={onSearch} />
      {log.isPending && <Skeleton lines={8} label="Reading the log" />}
      {log.isError && (
        <ErrorNotice error={log.error} what="The log could not be read." onRetry={() => void log.refetch()} />
      )}
      {log.isSuccess && items.length === 0 && <p className="empty">No entry fits this search.</p>}
      {items.length > 0 && (
        <ScrollTable label="Entries, the newest first">
          <thead>
            <tr>
              <th scope="col" className="number">
                No.
              </th>
              <th scope="col">When</th>
              <th scope="col">Who</th>
              <th scope="col">Called</th>
              <th scope="col">Change</th>
            </tr>
          </thead>
          <tbody>
            {items.map((item) => (
              <Row key={item.number} item={item} onSearch={onSearch} />
            ))}
          </tbody>
        </ScrollTable>
      )}
      {log.hasNextPage && (
        <div>
          <Button className="button" onPress={() => void log.fetchNextPage()} isDisabled={log.isFetchingNextPage}>
            {log.isFetchingNextPage ? 'Reading…' : 'Show older entries'}
          </Button>
        </div>
      )}
    </>
  );
}
