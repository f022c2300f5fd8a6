import { type ReactNode, useId, useState } from 'react';
import { Button } from 'react-aria-components';

/** Puts a text where it can be pasted from, and says so. Browsers allow it over HTTPS and on this machine only. */
export function CopyButton({ text }: { text: string }) {
  const [isCopied, setCopied] = useState(false);
  if (navigator.clipboard === undefined) return null;
  return (
    <>
      <Button
        className="button"
        onPress={() =>
          void navigator.clipboard.writeText(text).then(
            () => setCopied(true),
            () => setCopied(false),
          )
        }
      >
        Copy
      </Button>
      <span role="status" className="muted">
        {isCopied ? 'Copied.' : ''}
      </span>
    </>
  );
}

type Props = { label: string; text: string; children: ReactNode; onDone: () => void };

/** Something that the server tells this once: to be copied before the page goes on. */
export function Once({ label, text, children, onDone }: Props) {
  const id = useId();
  return (
    <section className="notice once" aria-labelledby={id}>
      <h3 id={id}>{label}</h3>
      <div>{children}</div>
      <code className="once-text">{text}</code>
      <div className="button-row">
        <CopyButton text={text} />
        <Button className="button" onPress={onDone}>
          Done
        </Button>
      </div>
    </section>
  );
}
