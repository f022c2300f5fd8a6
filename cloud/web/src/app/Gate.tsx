import { useQueryClient } from '@tanstack/react-query';
import { useLocation } from '@tanstack/react-router';
import { useEffect } from 'react';
import { useSession } from '../api/session';
import { InvitationPage } from '../pages/InvitationPage';
import { LogInPage } from '../pages/LogInPage';
import { Shell } from './Shell';

/** The app for whoever is logged in, the log-in page for everybody else. A demo logs in by itself. */
export function Gate() {
  const session = useSession();
  const client = useQueryClient();
  const isOut = session === 'out';
  useEffect(() => {
    // What the last person saw is not for the next one.
    if (isOut) client.clear();
  }, [isOut, client]);
  if (useLocation().pathname === '/invitation') return <InvitationPage />;
  return isOut ? <LogInPage /> : <Shell />;
}
