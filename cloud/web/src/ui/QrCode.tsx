import { useMemo } from 'react';
import { encode } from 'uqr';

/** Light modules around the code, without which cameras do not find it. */
const QUIET_ZONE = 4;

/** A text as a QR code, dark on white in every theme: cameras want that. */
export function QrCode({ text, label }: { text: string; label: string }) {
  const { size, path } = useMemo(() => {
    const code = encode(text, { ecc: 'M', border: QUIET_ZONE });
    const runs = code.data.map((row, y) => row.map((isDark, x) => (isDark ? `M${x} ${y}h1v1h-1z` : '')).join(''));
    return { size: code.size, path: runs.join('') };
  }, [text]);
  return (
    <svg className="qr" viewBox={`0 0 ${size} ${size}`} role="img" aria-label={label}>
      <path d={path} />
    </svg>
  );
}
