import { useMutation } from '@tanstack/react-query';
import { type FormEvent, Fragment, type ReactNode, useState } from 'react';
import { Button } from 'react-aria-components';
import { ErrorNotice } from './ErrorNotice';

type Props = {
  label: string;
  word: string;
  /** Said before the server's own words when it refuses. */
  refusal: string;
  send: (form: FormData) => Promise<unknown>;
  children: ReactNode;
};

/** Fields that are read when the form is sent, and emptied when the server has taken them. */
export function ActionForm({ label, word, refusal, send, children }: Props) {
  const [round, setRound] = useState(0);
  const sending = useMutation({ mutationFn: send, onSuccess: () => setRound((last) => last + 1) });
  const submit = (event: FormEvent<HTMLFormElement>) => {
    event.preventDefault();
    sending.mutate(new FormData(event.currentTarget));
  };
  return (
    <form className="action-form" aria-label={label} onSubmit={submit}>
      {/* New fields each time, not a reset, which a field with a state of its own would not notice. */}
      <Fragment key={round}>{children}</Fragment>
      {sending.isError && <ErrorNotice error={sending.error} what={refusal} />}
      <Button className="button primary" type="submit" isDisabled={sending.isPending}>
        {word}
      </Button>
    </form>
  );
}
