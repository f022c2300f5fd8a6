import { useQuery } from '@tanstack/react-query';
import { Link } from '@tanstack/react-router';
import { meQuery } from '../../api/people';
import { useMay } from '../../app/access';
import { FleetPage } from './FleetPage';

/** The fleet, for those who may see it; the others are told what there is for them. */
export function HomePage() {
  const me = useQuery(meQuery).data;
  if (useMay()('fleet.read') !== false) return <FleetPage />;
  return (
    <div className="page narrow">
      <h1>Welcome, {me?.name}</h1>
      <p className="lead">
        You are {me?.role} of {me?.tenant}. Your role does not include the fleet; an owner or manager can give you
        another.
      </p>
      <p>
        <Link to="/account" className="button">
          Your account
        </Link>
      </p>
    </div>
  );
}
