import { useMutation, useQuery } from '@tanstack/react-query';
import { useState } from 'react';
import { Button } from 'react-aria-components';
import { waysQuery } from '../../api/people';
import { CODE_NEEDED, LogInError, logIn } from '../../api/session';
import { useTitle } from '../../app/title';
import { CodeField, EntryFrame, Refusal } from './EntryFrame';
import { ForgottenPage } from './ForgottenPage';

export function LogInPage() {
  useTitle('Log in');
  const [isForgotten, setForgotten] = useState(false);
  const [needsCode, setNeedsCode] = useState(false);
  const ways = useQuery(waysQuery);
  const attempt = useMutation({
    mutationFn: (form: FormData) =>
      logIn(String(form.get('email')), String(form.get('password')), String(form.get('code') ?? '')),
    onError: (error) => {
      if (error instanceof LogInError && error.kind === CODE_NEEDED) setNeedsCode(true);
    },
  });
  if (isForgotten) return <ForgottenPage onBack={() => setForgotten(false)} />;

  return (
    <EntryFrame onSubmit={attempt.mutate}>
      <h1>Log in</h1>
      <label>
        E-mail address
        <input className="input" type="email" name="email" autoComplete="username" required />
      </label>
      <label>
        Password
        <input className="input" type="password" name="password" autoComplete="current-password" required />
      </label>
      {needsCode && <CodeField />}
      <Refusal error={attempt.error} />
      <Button className="button primary" type="submit" isDisabled={attempt.isPending}>
        {attempt.isPending ? 'Logging in…' : 'Log in'}
      </Button>
      {ways.data?.has_mail === true && (
        <Button className="button quiet" onPress={() => setForgotten(true)}>
          Password forgotten?
        </Button>
      )}
      <p className="entry-help">No account? Your company's owner or manager invites you.</p>
    </EntryFrame>
  );
}
