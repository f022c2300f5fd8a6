import { type ReactNode, useId } from 'react';

type Props = { title: string; aside?: ReactNode; className?: string; children: ReactNode };

/** A titled part of a page. */
export function Panel({ title, aside, className = '', children }: Props) {
  const id = useId();
  return (
    <section className={`panel ${className}`} aria-labelledby={id}>
      <div className="panel-head">
        <h2 id={id}>{title}</h2>
        {aside}
      </div>
      {children}
    </section>
  );
}
