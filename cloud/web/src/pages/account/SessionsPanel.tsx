import { useMutation, useQuery, useQueryClient } from '@tanstack/react-query';
import { Button } from 'react-aria-components';
import { remove } from '../../api/client';
import { type PersonSession, sessionsQuery } from '../../api/people';
import { Age, Day, toMs } from '../../ui/Age';
import { ErrorNotice } from '../../ui/ErrorNotice';
import { Panel } from '../../ui/Panel';
import { ScrollTable } from '../../ui/ScrollTable';
import { Skeleton } from '../../ui/Skeleton';
import { programOf } from './programs';

function SessionRow({ session }: { session: PersonSession }) {
  const client = useQueryClient();
  const end = useMutation({
    mutationFn: () => remove(`/auth/sessions/${session.id}`),
    onSettled: () => client.invalidateQueries({ queryKey: sessionsQuery.queryKey }),
  });
  const program = programOf(session.agent);
  return (
    <tr>
      <th scope="row">
        {program}
        {session.is_current && <span className="tag is-on">This one</span>}
      </th>
      <td>{session.address}</td>
      <td>{session.tenant}</td>
      <td>
        <Day iso={session.created} />
      </td>
      <td>
        <Age ms={toMs(session.last_used)} />
      </td>
      <td>
        {!session.is_current && (
          <Button
            className="button"
            aria-label={`End the session of ${program} from ${session.address}`}
            onPress={() => end.mutate()}
            isDisabled={end.isPending}
          >
            End
          </Button>
        )}
        {end.isError && <span role="alert">{end.error.message}</span>}
      </td>
    </tr>
  );
}

/** Where one is logged in. */
export function SessionsPanel() {
  const sessions = useQuery(sessionsQuery);
  return (
    <Panel title="Where you are logged in">
      {sessions.isPending && <Skeleton lines={2} label="Reading your sessions" />}
      {sessions.isError && (
        <ErrorNotice
          error={sessions.error}
          what="Your sessions could not be read."
          onRetry={() => void sessions.refetch()}
        />
      )}
      {sessions.isSuccess && (
        <ScrollTable label="Your sessions">
          <thead>
            <tr>
              <th scope="col">Program</th>
              <th scope="col">From</th>
              <th scope="col">Company</th>
              <th scope="col">Since</th>
              <th scope="col">Last used</th>
              <th scope="col">Change</th>
            </tr>
          </thead>
          <tbody>
            {sessions.data.items.map((session) => (
              <SessionRow key={session.id} session={session} />
            ))}
          </tbody>
        </ScrollTable>
      )}
    </Panel>
  );
}
