import { useQuery } from '@tanstack/react-query';
import { useState } from 'react';
import { send } from '../../api/client';
import { meQuery } from '../../api/people';
import { useTitle } from '../../app/title';
import { ActionForm } from '../../ui/ActionForm';
import { Panel } from '../../ui/Panel';
import { SecondFactorPanel } from './SecondFactorPanel';
import { SessionsPanel } from './SessionsPanel';

function PasswordPanel() {
  const [isChanged, setChanged] = useState(false);
  const change = async (form: FormData) => {
    setChanged(false);
    await send('PUT', '/me/password', {
      current_password: String(form.get('current')),
      new_password: String(form.get('new')),
    });
    setChanged(true);
  };
  return (
    <Panel title="Password">
      <ActionForm label="Change the password" word="Change it" refusal="It was not changed." send={change}>
        <div className="fields">
          <label className="field">
            The one you have
            <input className="input" type="password" name="current" autoComplete="current-password" required />
          </label>
          <label className="field">
            A new one, 12 characters or more
            <input className="input" type="password" name="new" autoComplete="new-password" minLength={12} required />
          </label>
        </div>
      </ActionForm>
      <p role="status">{isChanged && 'It is changed, and you are logged out everywhere else.'}</p>
    </Panel>
  );
}

/** One's own log-ins, second factor and password. */
export function AccountPage() {
  useTitle('Your account');
  const me = useQuery(meQuery);
  if (!me.isSuccess) return null;
  return (
    <div className="page account">
      <header className="head">
        <div>
          <h1>Your account</h1>
          <p className="muted">
            {me.data.name}, {me.data.email}: {me.data.role} of {me.data.tenant}
          </p>
        </div>
      </header>
      {me.data.is_demo ? (
        <p className="empty">The demo’s user has no password and no second factor.</p>
      ) : (
        <>
          <SessionsPanel />
          <SecondFactorPanel me={me.data} />
          <PasswordPanel />
        </>
      )}
    </div>
  );
}
