import { Link } from '@tanstack/react-router';
import { useTitle } from '../app/title';

export function NotFoundPage({ what = 'This page' }: { what?: string }) {
  useTitle('Not found');
  return (
    <div className="page narrow">
      <p className="milestone" aria-hidden="true">
        404
      </p>
      <h1>{what} is not here</h1>
      <p>
        The address may be mistyped, or what it named was removed. The <Link to="/">fleet</Link> has every vehicle, the{' '}
        <Link to="/devices">device list</Link> every device.
      </p>
    </div>
  );
}
