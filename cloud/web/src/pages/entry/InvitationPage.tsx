import { useMutation, useQuery } from '@tanstack/react-query';
import { useState } from 'react';
import { Button } from 'react-aria-components';
import { acceptInvitation, CODE_NEEDED, LogInError, lookAtInvitation } from '../../api/session';
import { useTitle } from '../../app/title';
import { Skeleton } from '../../ui/Skeleton';
import { CodeField, EntryFrame, Refusal } from './EntryFrame';

/** Opened by a link; its token stands behind the `#`, which no server ever sees. */
export function InvitationPage() {
  useTitle('Invitation');
  const [token] = useState(() => location.hash.slice(1));
  const [needsCode, setNeedsCode] = useState(false);
  const invited = useQuery({
    queryKey: ['invitation', token],
    queryFn: () => lookAtInvitation(token),
    retry: false,
    staleTime: Number.POSITIVE_INFINITY,
  });
  const accept = useMutation({
    mutationFn: (form: FormData) =>
      acceptInvitation(token, String(form.get('name')), String(form.get('password')), String(form.get('code') ?? '')),
    // A fresh start: another person may have been logged in here.
    onSuccess: () => location.replace('/'),
    onError: (error) => {
      if (error instanceof LogInError && error.kind === CODE_NEEDED) setNeedsCode(true);
    },
  });

  return (
    <EntryFrame onSubmit={accept.mutate}>
      {invited.isPending && <Skeleton lines={4} label="Reading the invitation" />}
      {invited.isError && (
        <>
          <h1>This link does not work</h1>
          <p role="alert">{invited.error.message}</p>
        </>
      )}
      {invited.isSuccess && (
        <>
          <h1>Join {invited.data.tenant}</h1>
          <p>
            You will be {invited.data.role}, and log in as{' '}
            <strong className="entry-address">{invited.data.email}</strong>.
          </p>
          {invited.data.is_known ? (
            <input type="hidden" name="name" value={invited.data.email} />
          ) : (
            <label>
              Your name
              <input className="input" name="name" autoComplete="name" maxLength={80} required />
            </label>
          )}
          <label>
            {invited.data.is_known ? 'The password that you have here already' : 'A password, 12 characters or more'}
            <input
              className="input"
              type="password"
              name="password"
              autoComplete={invited.data.is_known ? 'current-password' : 'new-password'}
              minLength={invited.data.is_known ? undefined : 12}
              required
            />
          </label>
          {needsCode && <CodeField />}
          <Refusal error={accept.error} />
          <Button className="button primary" type="submit" isDisabled={accept.isPending || accept.isSuccess}>
            Join
          </Button>
        </>
      )}
    </EntryFrame>
  );
}
