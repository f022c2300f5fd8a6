import { useMutation } from '@tanstack/react-query';
import type { FormEvent } from 'react';
import { Button } from 'react-aria-components';
import { logIn } from '../api/session';
import { Brand } from '../app/Brand';
import { useTitle } from '../app/title';
import './log-in.css';

export function LogInPage() {
  useTitle('Log in');
  const attempt = useMutation({
    mutationFn: (form: FormData) => logIn(String(form.get('email')), String(form.get('password'))),
  });
  const submit = (event: FormEvent<HTMLFormElement>) => {
    event.preventDefault();
    attempt.mutate(new FormData(event.currentTarget));
  };

  return (
    <main id="main" className="log-in">
      <form className="panel log-in-form" onSubmit={submit}>
        <p className="brand">
          <Brand />
        </p>
        <h1>Log in</h1>
        <label>
          E-mail address
          <input className="input" type="email" name="email" autoComplete="username" required />
        </label>
        <label>
          Password
          <input className="input" type="password" name="password" autoComplete="current-password" required />
        </label>
        <p className="field-error" role="alert">
          {attempt.error?.message}
        </p>
        <Button className="button primary" type="submit" isDisabled={attempt.isPending}>
          {attempt.isPending ? 'Logging in…' : 'Log in'}
        </Button>
        <p className="log-in-help">No account? Your company's owner or manager invites you.</p>
      </form>
    </main>
  );
}
