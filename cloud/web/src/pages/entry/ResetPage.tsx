import { useMutation } from '@tanstack/react-query';
import { useState } from 'react';
import { Button } from 'react-aria-components';
import { setPassword } from '../../api/session';
import { useTitle } from '../../app/title';
import { EntryFrame, Refusal } from './EntryFrame';

/** Opened by a link from a mail; its token stands behind the `#`. */
export function ResetPage() {
  useTitle('A new password');
  const [token] = useState(() => location.hash.slice(1));
  const set = useMutation({ mutationFn: (form: FormData) => setPassword(token, String(form.get('password'))) });
  return (
    <EntryFrame onSubmit={set.mutate}>
      <h1>A new password</h1>
      {set.isSuccess ? (
        <>
          <p role="status">It is set, and you are logged out everywhere.</p>
          <a className="button primary" href="/">
            Log in
          </a>
        </>
      ) : (
        <>
          <label>
            A password, 12 characters or more
            <input
              className="input"
              type="password"
              name="password"
              autoComplete="new-password"
              minLength={12}
              required
            />
          </label>
          <Refusal error={set.error} />
          <Button className="button primary" type="submit" isDisabled={set.isPending}>
            Set it
          </Button>
        </>
      )}
    </EntryFrame>
  );
}
