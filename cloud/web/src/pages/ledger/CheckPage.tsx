import { Link } from '@tanstack/react-router';
import { useTitle } from '../../app/title';
import { Panel } from '../../ui/Panel';

/** The promise is worth what can be checked without us. */
export function CheckPage() {
  useTitle('Check it yourself');
  return (
    <div className="page narrow">
      <h1>Check it yourself</h1>
      <p className="lead">
        Nothing measured is lost, and nothing is counted twice. You need not take that on trust: the device and the
        cloud each keep their own count, and the two must agree.
      </p>
      <Panel title="1. Ask the device">
        <p>Beside the vehicle or over SSH, with or without network:</p>
        <pre tabIndex={0}>
          <code>milepost sync</code>
        </pre>
        <p>
          It shows each stream with its last number, what the cloud has acknowledged, what still waits on the device,
          and every gap with its reason. A frame’s number is given once, when it is written to the device’s disk, and
          never again.
        </p>
      </Panel>
      <Panel title="2. Ask the cloud">
        <p>
          The <Link to="/devices">ledger page of the device</Link> shows the same streams. What it draws can be read by
          a program too:
        </p>
        <pre tabIndex={0}>
          <code>{`curl ${location.origin}/api/v1/devices/DEVICE/ledger`}</code>
        </pre>
      </Panel>
      <Panel title="3. Compare">
        <p>
          The stream’s name and its last number must be the same on both sides. From 1 to that number every single one
          must be in exactly one list: stored, on the way, lost with a reason, or in quarantine. A number in none, or in
          two, is a fault of ours, and we want to hear of it.
        </p>
      </Panel>
      <Panel title="4. Try to break it">
        <p>
          Pull the network, cut the power, kill the program in the middle of a drive, and compare again when the device
          is back. What was in the open frame when the power went, one period at most, is reported as a gap with the
          reason “power”. Everything before it must be there, once.
        </p>
      </Panel>
    </div>
  );
}
