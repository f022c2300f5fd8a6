import type { VehicleStatus } from '../api/types';
import { STATUS_SHAPES } from '../lib/shapes';
import { STATUS_WORDS } from '../lib/status';

/** The same shape as on the map; always beside its word, so it is hidden from screen readers. */
export function StatusMark({ status, headingDeg = null }: { status: VehicleStatus; headingDeg?: number | null }) {
  const shape = STATUS_SHAPES[status];
  const turn = shape.turns && headingDeg !== null ? `rotate(${Math.round(headingDeg)} 12 12)` : undefined;
  return (
    <svg
      className={`mark mark-${status}${shape.isHollow ? ' is-hollow' : ''}`}
      viewBox="-1 -1 26 26"
      aria-hidden="true"
    >
      <g transform={turn}>
        <path className="mark-outline" d={shape.outline} />
        {shape.mark !== '' && <path className="mark-inner" d={shape.mark} />}
      </g>
    </svg>
  );
}

export function Status({ status, headingDeg = null }: { status: VehicleStatus; headingDeg?: number | null }) {
  return (
    <span className="status">
      <StatusMark status={status} headingDeg={headingDeg} />
      {STATUS_WORDS[status]}
    </span>
  );
}
