import { useMutation, useQuery } from '@tanstack/react-query';
import { type FormEvent, useState } from 'react';
import { Button } from 'react-aria-components';
import { acceptInvitation, lookAtInvitation } from '../api/session';
import { Brand } from '../app/Brand';
import { useTitle } from '../app/title';
import { Skeleton } from '../ui/Skeleton';
import './log-in.css';

/** Opened by a link; its token stands behind the `#`, which no server ever sees. */
export function InvitationPage() {
  useTitle('Invitation');
  const [token] = useState(() => location.hash.slice(1));
  const invited = useQuery({
    queryKey: ['invitation', token],
    queryFn: () => lookAtInvitation(token),
    retry: false,
    staleTime: Number.POSITIVE_INFINITY,
  });
  const accept = useMutation({
    mutationFn: (form: FormData) => acceptInvitation(token, String(form.get('name')), String(form.get('password'))),
    // A fresh start: another person may have been logged in here.
    onSuccess: () => location.replace('/'),
  });
  const submit = (event: FormEvent<HTMLFormElement>) => {
    event.preventDefault();
    accept.mutate(new FormData(event.currentTarget));
  };

  return (
    <main id="main" className="log-in">
      <form className="panel log-in-form" onSubmit={submit}>
        <p className="brand">
          <Brand />
        </p>
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
              <strong className="log-in-address">{invited.data.email}</strong>.
            </p>
            {!invited.data.is_known && (
              <label>
                Your name
                <input className="input" name="name" autoComplete="name" maxLength={80} required />
              </label>
            )}
            {invited.data.is_known && <input type="hidden" name="name" value={invited.data.email} />}
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
            <p className="field-error" role="alert">
              {accept.error?.message}
            </p>
            <Button className="button primary" type="submit" isDisabled={accept.isPending || accept.isSuccess}>
              Join
            </Button>
          </>
        )}
      </form>
    </main>
  );
}
