import { useMutation, useQueryClient } from '@tanstack/react-query';
import { useState } from 'react';
import { Button } from 'react-aria-components';
import { send } from '../../api/client';
import { type Me, meQuery, type NewSecondFactor } from '../../api/people';
import { save } from '../../lib/save';
import { ActionForm } from '../../ui/ActionForm';
import { ErrorNotice } from '../../ui/ErrorNotice';
import { CopyButton } from '../../ui/Once';
import { Panel } from '../../ui/Panel';
import { QrCode } from '../../ui/QrCode';
import './account.css';

function CodeField({ word }: { word: string }) {
  return (
    <label className="field">
      {word}
      <input className="input" name="code" autoComplete="one-time-code" maxLength={40} required />
    </label>
  );
}

function Recovery({ codes, onDone }: { codes: string[]; onDone: () => void }) {
  const text = codes.join('\n');
  return (
    <section className="notice once" aria-labelledby="recovery">
      <h3 id="recovery">Your recovery codes</h3>
      <p>Each is good once in place of a code, when your phone is lost. They are shown this once: keep them safe.</p>
      <ul className="recovery-codes">
        {codes.map((code) => (
          <li key={code}>
            <code>{code}</code>
          </li>
        ))}
      </ul>
      <div className="button-row">
        <CopyButton text={text} />
        <Button
          className="button"
          onPress={() => save(new Blob([`${text}\n`], { type: 'text/plain' }), 'recovery-codes.txt')}
        >
          Save as a file
        </Button>
        <Button className="button primary" onPress={onDone}>
          I have them
        </Button>
      </div>
    </section>
  );
}

/** A code of an authenticator app beside the password: set up, or taken away. */
export function SecondFactorPanel({ me }: { me: Me }) {
  const client = useQueryClient();
  const [codes, setCodes] = useState<string[] | null>(null);
  const begin = useMutation({ mutationFn: () => send<NewSecondFactor>('POST', '/me/totp') });
  const know = () => client.invalidateQueries({ queryKey: meQuery.queryKey });
  const confirm = async (form: FormData) => {
    const answer = await send<{ codes: string[] }>('POST', '/me/totp/confirm', { code: String(form.get('code')) });
    setCodes(answer.codes);
    begin.reset();
    await know();
  };
  const takeAway = async (form: FormData) => {
    await send('POST', '/me/totp/remove', { code: String(form.get('code')) });
    await know();
  };

  if (codes !== null)
    return (
      <Panel title="Second factor">
        <Recovery codes={codes} onDone={() => setCodes(null)} />
      </Panel>
    );
  if (me.has_second_factor)
    return (
      <Panel title="Second factor" aside={<span className="tag is-on">On</span>}>
        <p>Logging in needs a code of your authenticator app. A last one takes this away.</p>
        <ActionForm label="Remove the second factor" word="Remove it" refusal="It stays." send={takeAway}>
          <CodeField word="A code, or a recovery code" />
        </ActionForm>
      </Panel>
    );
  if (begin.data === undefined)
    return (
      <Panel title="Second factor" aside={<span className="tag">Off</span>}>
        <p>With one, a stolen password is not enough to log in as you.</p>
        {begin.isError && <ErrorNotice error={begin.error} what="It could not be begun." />}
        <div>
          <Button className="button primary" onPress={() => begin.mutate()} isDisabled={begin.isPending}>
            Set it up
          </Button>
        </div>
      </Panel>
    );
  return (
    <Panel title="Second factor">
      <ol className="factor-steps">
        <li>
          Scan this with an authenticator app, or type the secret{' '}
          <code className="factor-secret">{begin.data.secret}</code>
          <div className="factor-code">
            <QrCode text={begin.data.uri} label="QR code for an authenticator app" />
          </div>
        </li>
        <li>
          <ActionForm label="Confirm the second factor" word="Switch it on" refusal="It is still off." send={confirm}>
            <CodeField word="The code that the app shows" />
          </ActionForm>
        </li>
      </ol>
    </Panel>
  );
}
