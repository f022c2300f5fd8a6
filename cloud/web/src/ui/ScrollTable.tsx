import type { ReactNode } from 'react';

/** A table that scrolls inside itself when the screen is narrower, by keyboard too; the page never does. */
export function ScrollTable({ label, children }: { label: string; children: ReactNode }) {
  return (
    <section className="scroll-table" aria-label={label} tabIndex={0}>
      <table>
        <caption className="visually-hidden">{label}</caption>
        {children}
      </table>
    </section>
  );
}
