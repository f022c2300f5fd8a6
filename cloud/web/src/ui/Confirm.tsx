import { useMutation } from '@tanstack/react-query';
import type { ReactNode } from 'react';
import { Button, Dialog, DialogTrigger, Heading, Modal, ModalOverlay } from 'react-aria-components';
import { ErrorNotice } from './ErrorNotice';

type Props = {
  /** On the button that asks, and on the one that does it. */
  word: string;
  /** What the button is called where its word alone does not say enough. */
  label?: string;
  title: string;
  /** What will be so afterwards. */
  children: ReactNode;
  act: () => Promise<unknown>;
};

/** A button for what cannot be taken back: it says what will happen, and asks. */
export function Confirm({ word, label, title, children, act }: Props) {
  const acting = useMutation({ mutationFn: act });
  return (
    <DialogTrigger onOpenChange={() => acting.reset()}>
      <Button className="button" aria-label={label ?? word}>
        {word}
      </Button>
      <ModalOverlay className="veil">
        <Modal className="popover">
          <Dialog className="dialog confirm" role="alertdialog">
            {({ close }) => (
              <>
                <Heading slot="title">{title}</Heading>
                <div>{children}</div>
                {acting.isError && <ErrorNotice error={acting.error} what="This was not done." />}
                <div className="button-row">
                  <Button
                    className="button is-danger"
                    isDisabled={acting.isPending}
                    onPress={() => acting.mutate(undefined, { onSuccess: close })}
                  >
                    {word}
                  </Button>
                  <Button className="button" onPress={close} autoFocus>
                    Leave it
                  </Button>
                </div>
              </>
            )}
          </Dialog>
        </Modal>
      </ModalOverlay>
    </DialogTrigger>
  );
}
