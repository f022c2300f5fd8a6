/** Grey lines in the place of what is being read. */
export function Skeleton({ lines, label }: { lines: number; label: string }) {
  return (
    <div className="skeleton" role="status">
      <span className="visually-hidden">{label}…</span>
      {Array.from({ length: lines }, (_, line) => `line ${line}`).map((key) => (
        <span key={key} className="skeleton-line" aria-hidden="true" />
      ))}
    </div>
  );
}
