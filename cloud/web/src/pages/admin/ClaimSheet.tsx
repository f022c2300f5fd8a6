import { Button } from 'react-aria-components';
import type { NewClaim } from '../../api/enrolment';
import { plural } from '../../lib/format';
import { save } from '../../lib/save';
import { Day } from '../../ui/Age';
import { CopyButton } from '../../ui/Once';
import { Panel } from '../../ui/Panel';
import { QrCode } from '../../ui/QrCode';
import { claimsCsv, spaced } from './claimWords';

type Props = { claims: readonly NewClaim[]; names: ReadonlyMap<number, string>; onDone: () => void };

/** New claim codes, this once: to be printed, saved or read from the screen. */
export function ClaimSheet({ claims, names, onDone }: Props) {
  return (
    <Panel title={plural(claims.length, 'new claim code')} className="sheet">
      <p className="no-print">
        Shown this once: print them, save them, or scan one now. Each lets one device in, by{' '}
        <code>milepost enroll</code> with what the QR code holds.
      </p>
      <div className="button-row no-print">
        <Button className="button primary" onPress={() => print()}>
          Print the sheet
        </Button>
        <Button
          className="button"
          onPress={() => save(new Blob([claimsCsv(claims, names)], { type: 'text/csv' }), 'claim-codes.csv')}
        >
          Save as CSV
        </Button>
        {claims.length === 1 && claims[0] !== undefined && <CopyButton text={claims[0].payload} />}
        <Button className="button" onPress={onDone}>
          Done
        </Button>
      </div>
      <ul className="sheet-codes">
        {claims.map((claim) => (
          <li key={claim.id}>
            <QrCode text={claim.payload} label={`QR code of ${spaced(claim.code)}`} />
            <code>{spaced(claim.code)}</code>
            <span>
              {claim.vehicle_id === null ? 'For a new vehicle' : `For ${names.get(claim.vehicle_id) ?? 'its vehicle'}`},
              until <Day iso={claim.expires} />
            </span>
          </li>
        ))}
      </ul>
    </Panel>
  );
}
