import type { VehicleStatus } from '../api/types';

/**
 * One shape for each status on a 24 by 24 grid, pointing north: colour is never the only difference. Driving and idling
 * turn with the heading; the others have none.
 */
export const STATUS_SHAPES: Record<
  VehicleStatus,
  { outline: string; mark: string; isHollow: boolean; turns: boolean }
> = {
  driving: { outline: 'M12 1.5 20.5 21.5 12 17 3.5 21.5Z', mark: '', isHollow: false, turns: true },
  idling: { outline: 'M12 1.5 20.5 21.5 12 17 3.5 21.5Z', mark: '', isHollow: true, turns: true },
  parked: {
    outline: 'M6 3h12a3 3 0 0 1 3 3v12a3 3 0 0 1-3 3H6a3 3 0 0 1-3-3V6a3 3 0 0 1 3-3Z',
    mark: 'M9.5 17.5v-11h3.6a3.3 3.3 0 0 1 0 6.6H9.5',
    isHollow: false,
    turns: false,
  },
  silent: { outline: 'M12 1 23 12 12 23 1 12Z', mark: 'M12 6.5v7M12 16.6v.6', isHollow: false, turns: false },
  unknown: {
    outline: 'M12 2a10 10 0 1 1 0 20 10 10 0 0 1 0-20Z',
    mark: 'M9 9.4a3 3 0 1 1 4.4 2.6c-.9.5-1.4 1-1.4 2M12 17v.4',
    isHollow: true,
    turns: false,
  },
};
