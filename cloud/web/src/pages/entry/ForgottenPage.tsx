import { useMutation } from '@tanstack/react-query';
import { Button } from 'react-aria-components';
import { askForReset } from '../../api/session';
import { useTitle } from '../../app/title';
import { EntryFrame, Refusal } from './EntryFrame';

/** Asks for a link by mail. Whether there is such a user is not told. */
export function ForgottenPage({ onBack }: { onBack: () => void }) {
  useTitle('Password forgotten');
  const ask = useMutation({ mutationFn: (form: FormData) => askForReset(String(form.get('email'))) });
  return (
    <EntryFrame onSubmit={ask.mutate}>
      <h1>A new password</h1>
      {ask.isSuccess ? (
        <p role="status">
          If somebody logs in with this address here, a mail is on its way. Its link is good for an hour.
        </p>
      ) : (
        <>
          <label>
            E-mail address
            <input className="input" type="email" name="email" autoComplete="username" required />
          </label>
          <Refusal error={ask.error} />
          <Button className="button primary" type="submit" isDisabled={ask.isPending}>
            Send me a link
          </Button>
        </>
      )}
      <Button className="button quiet" onPress={onBack}>
        Back to log-in
      </Button>
    </EntryFrame>
  );
}
