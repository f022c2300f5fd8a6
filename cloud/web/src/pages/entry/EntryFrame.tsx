import type { FormEvent, ReactNode } from 'react';
import { Brand } from '../../app/Brand';
import './entry.css';

type Props = { onSubmit: (form: FormData) => void; children: ReactNode };

/** What stands around log-in, invitation and new password: a form on an empty page. */
export function EntryFrame({ onSubmit, children }: Props) {
  const submit = (event: FormEvent<HTMLFormElement>) => {
    event.preventDefault();
    onSubmit(new FormData(event.currentTarget));
  };
  return (
    <main id="main" className="entry">
      <form className="panel entry-form" onSubmit={submit}>
        <p className="brand">
          <Brand />
        </p>
        {children}
      </form>
    </main>
  );
}

/** A refusal in the server's words; nothing while there is none. */
export function Refusal({ error }: { error: Error | null }) {
  return (
    <p className="field-error" role="alert">
      {error?.message}
    </p>
  );
}

const focus = (input: HTMLInputElement | null) => input?.focus();

/** Asked for once the server says that the password alone is not enough: it takes the focus, as the one thing still missing. */
export function CodeField() {
  return (
    <label>
      Code of your authenticator app, or a recovery code
      <input
        className="input"
        name="code"
        inputMode="text"
        autoComplete="one-time-code"
        maxLength={40}
        ref={focus}
        required
      />
    </label>
  );
}
