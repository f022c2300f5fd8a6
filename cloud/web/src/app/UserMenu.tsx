import { useMutation, useQuery, useQueryClient } from '@tanstack/react-query';
import { Button, Dialog, DialogTrigger, Heading, Popover } from 'react-aria-components';
import { remove } from '../api/client';
import { meQuery, sessionsQuery } from '../api/queries';
import { logOut } from '../api/session';
import type { Me, PersonSession } from '../api/types';
import { Age } from '../ui/Age';
import { ErrorNotice } from '../ui/ErrorNotice';
import { Skeleton } from '../ui/Skeleton';

const BROWSERS: readonly [RegExp, string][] = [
  [/Edg\//, 'Edge'],
  [/Firefox\//, 'Firefox'],
  [/Chrome\//, 'Chrome'],
  [/Safari\//, 'Safari'],
];

/** The program behind a session in one word; programs that are no browsers name themselves first. */
export const programOf = (agent: string): string =>
  BROWSERS.find(([pattern]) => pattern.test(agent))?.[1] ?? (agent.split(/[/ ]/)[0] || 'Unknown program');

function SessionRow({ session }: { session: PersonSession }) {
  const client = useQueryClient();
  const end = useMutation({
    mutationFn: () => remove(`/auth/sessions/${session.id}`),
    onSettled: () => client.invalidateQueries({ queryKey: sessionsQuery.queryKey }),
  });
  return (
    <li>
      <span>
        <strong>{programOf(session.agent)}</strong> from {session.address}
        <br />
        <span className="muted">{session.is_current ? 'This one' : <Age ms={Date.parse(session.last_used)} />}</span>
      </span>
      {!session.is_current && (
        <Button className="button" onPress={() => end.mutate()} isDisabled={end.isPending}>
          End
        </Button>
      )}
    </li>
  );
}

function Menu({ me }: { me: Me }) {
  const sessions = useQuery(sessionsQuery);
  return (
    <>
      <Heading slot="title">{me.name}</Heading>
      <p className="user-facts">
        {me.is_demo ? (
          <>You look at a demo. It logs in by itself, and everybody on this machine is the same user.</>
        ) : (
          <>
            {me.email}
            <br />
            {me.role} of {me.tenant}
          </>
        )}
      </p>
      {!me.is_demo && (
        <>
          <h3>Where you are logged in</h3>
          {sessions.isPending && <Skeleton lines={2} label="Reading your sessions" />}
          {sessions.isError && (
            <ErrorNotice
              error={sessions.error}
              what="Your sessions could not be read."
              onRetry={() => void sessions.refetch()}
            />
          )}
          {sessions.isSuccess && (
            <ul className="user-sessions">
              {sessions.data.items.map((session) => (
                <SessionRow key={session.id} session={session} />
              ))}
            </ul>
          )}
          <Button className="button" onPress={() => void logOut()}>
            Log out
          </Button>
        </>
      )}
    </>
  );
}

/** Who is logged in. A demo says so plainly. */
export function UserMenu() {
  const me = useQuery(meQuery);
  if (!me.isSuccess) return null;
  return (
    <DialogTrigger>
      {me.data.is_demo ? (
        <Button className="button is-demo">Demo</Button>
      ) : (
        <Button className="button quiet" aria-label={me.data.name}>
          <svg viewBox="0 0 20 20" aria-hidden="true">
            <circle cx="10" cy="7" r="3" />
            <path d="M4 17a6 6 0 0 1 12 0" />
          </svg>
          <span className="user-name">{me.data.name}</span>
        </Button>
      )}
      <Popover className="popover" placement="bottom end">
        <Dialog className="dialog">
          <Menu me={me.data} />
        </Dialog>
      </Popover>
    </DialogTrigger>
  );
}
