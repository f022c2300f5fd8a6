import { ToggleButton, ToggleButtonGroup } from 'react-aria-components';
import type { VehicleStatus } from '../../api/types';
import { formatCount } from '../../lib/format';
import { STATUS_MEANING, STATUS_WORDS, STATUSES } from '../../lib/status';
import { StatusMark } from '../../ui/StatusMark';

type Props = {
  counts: Record<VehicleStatus, number>;
  total: number;
  status: VehicleStatus | undefined;
  onStatus: (status: VehicleStatus | undefined) => void;
};

/** How many vehicles are in each state; a press shows only those. It is the map's legend too. */
export function StateFilter({ counts, total, status, onStatus }: Props) {
  return (
    <ToggleButtonGroup
      className="states"
      aria-label={`Show only one state of ${total} vehicles`}
      selectionMode="single"
      selectedKeys={status === undefined ? [] : [status]}
      onSelectionChange={(keys) => onStatus([...keys][0] as VehicleStatus | undefined)}
    >
      {STATUSES.map((each) => (
        <ToggleButton
          key={each}
          id={each}
          className={`state ${counts[each] === 0 ? 'is-zero' : ''}`}
          aria-label={`${STATUS_WORDS[each]}: ${counts[each]}, ${STATUS_MEANING[each]}`}
        >
          <StatusMark status={each} headingDeg={35} />
          <span className="state-count">{formatCount(counts[each])}</span>
          <span className="state-word">{STATUS_WORDS[each]}</span>
        </ToggleButton>
      ))}
    </ToggleButtonGroup>
  );
}
