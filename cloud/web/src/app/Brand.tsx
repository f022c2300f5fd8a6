/** The milestone and the name, as they stand in the header and on the log-in page. */
export function Brand() {
  return (
    <>
      <svg viewBox="0 0 32 32" aria-hidden="true">
        <path className="brand-post" d="M8 30V12a8 8 0 0 1 16 0v18Z" />
        <path className="brand-band" d="M8 15h16v6H8Z" />
      </svg>
      <span>Milepost</span>
    </>
  );
}
