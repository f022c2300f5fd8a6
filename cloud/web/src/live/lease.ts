import { useEffect } from 'react';
import { post } from '../api/client';

const RENEW_MS = 30_000;

/** Ask the device for a frame a second while this page can be seen. The lease runs out by itself 60 s after the last. */
export function useWatchLease(vehicleId: number): void {
  useEffect(() => {
    const renew = () => {
      if (document.visibilityState !== 'visible') return;
      // Without the lease the page still works on normal frames: a refusal needs no word to the reader.
      post(`/vehicles/${vehicleId}/watch`).catch(() => undefined);
    };
    renew();
    const timer = setInterval(renew, RENEW_MS);
    document.addEventListener('visibilitychange', renew);
    return () => {
      clearInterval(timer);
      document.removeEventListener('visibilitychange', renew);
    };
  }, [vehicleId]);
}
