import { useQueryClient } from '@tanstack/react-query';
import { useLocation } from '@tanstack/react-router';
import { useEffect } from 'react';
import { waysQuery } from '../api/people';
import { useSession } from '../api/session';
import { InvitationPage } from '../pages/entry/InvitationPage';
import { LogInPage } from '../pages/entry/LogInPage';
import { ResetPage } from '../pages/entry/ResetPage';
import { Shell } from './Shell';

/** The app for whoever is logged in, the log-in page for everybody else. A demo logs in by itself. */
export function Gate() {
  const session = useSession();
  const client = useQueryClient();
  const isOut = session === 'out';
  useEffect(() => {
    // What the last person saw is not for the next one.
    if (isOut) client.removeQueries({ predicate: ({ queryKey }) => queryKey[0] !== waysQuery.queryKey[0] });
  }, [isOut, client]);
  const { pathname } = useLocation();
  if (pathname === '/invitation') return <InvitationPage />;
  if (pathname === '/reset') return <ResetPage />;
  return isOut ? <LogInPage /> : <Shell />;
}
