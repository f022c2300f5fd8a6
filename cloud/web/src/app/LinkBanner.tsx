import { useEffect, useState } from 'react';
import { Button } from 'react-aria-components';
import { formatClock } from '../lib/format';
import { retryNow, useLink, useLiveAt } from '../live/store';

/** A drop shorter than this is not worth a word. */
const PATIENCE_MS = 1_500;

/** Says that the server is away, since when, and when the next try is. */
export function LinkBanner() {
  const link = useLink();
  const at = useLiveAt();
  const isDown = link.phase !== 'live';
  const [isShown, setShown] = useState(false);
  const [now, setNow] = useState(Date.now);

  useEffect(() => {
    if (!isDown) {
      setShown(false);
      return;
    }
    const patience = setTimeout(() => setShown(true), PATIENCE_MS);
    const tick = setInterval(() => setNow(Date.now()), 1000);
    return () => {
      clearTimeout(patience);
      clearInterval(tick);
    };
  }, [isDown]);

  const seconds = link.phase === 'waiting' ? Math.max(0, Math.ceil((link.retryAtMs - now) / 1000)) : null;
  return (
    <div className="link-banner" role="status" hidden={!isShown}>
      {isShown && (
        <>
          <p>
            <strong>No live connection to the server.</strong>{' '}
            {at === null
              ? 'What you see may be old.'
              : `You see what was known at ${formatClock(at)}; vehicles keep recording all the same.`}
          </p>
          {/* The countdown is for the eye: read aloud each second it would only disturb. */}
          <span aria-hidden="true" className="link-retry">
            {seconds === null || seconds === 0 ? 'Trying…' : `Next try in ${seconds} s`}
          </span>
          <Button className="button" onPress={retryNow}>
            Try now
          </Button>
        </>
      )}
    </div>
  );
}
