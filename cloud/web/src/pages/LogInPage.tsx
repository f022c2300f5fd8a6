import { type FormEvent, useState } from 'react';
import { Button } from 'react-aria-components';
import { logIn } from '../api/session';
import { Brand } from '../app/Brand';
import { useTitle } from '../app/title';
import './log-in.css';

export function LogInPage() {
  useTitle('Log in');
  const [error, setError] = useState<string | null>(null);
  const [isBusy, setBusy] = useState(false);

  const submit = async (event: FormEvent<HTMLFormElement>) => {
    event.preventDefault();
    const form = new FormData(event.currentTarget);
    setBusy(true);
    setError(await logIn(String(form.get('email')), String(form.get('password'))));
    setBusy(false);
  };

  return (
    <main id="main" className="log-in">
      <form className="panel log-in-form" onSubmit={(event) => void submit(event)}>
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
          {error}
        </p>
        <Button className="button primary" type="submit" isDisabled={isBusy}>
          {isBusy ? 'Logging in…' : 'Log in'}
        </Button>
        <p className="log-in-help">No account? Your company's owner or manager invites you.</p>
      </form>
    </main>
  );
}
