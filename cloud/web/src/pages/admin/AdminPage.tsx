import { Link, Navigate, Outlet, useChildMatches } from '@tanstack/react-router';
import { ADMIN_PARTS, useMay } from '../../app/access';
import { Skeleton } from '../../ui/Skeleton';
import './admin.css';

/** The administration area: a second row of navigation with what one's role includes, and the page. */
export function AdminPage() {
  const may = useMay();
  // Not the address: on the way out that is already another page's, while this one still stands.
  const [at] = useChildMatches({ select: (matches) => matches.map(({ fullPath }) => fullPath) });
  const open = ADMIN_PARTS.filter(({ action }) => may(action));
  const part = ADMIN_PARTS.find(({ to }) => at === to);
  if (may('') === null)
    return (
      <div className="page">
        <Skeleton lines={6} label="Reading what you may do" />
      </div>
    );
  const first = open[0];
  if (part === undefined && first !== undefined) return <Navigate to={first.to} replace />;
  if (part === undefined || !open.includes(part))
    return (
      <div className="page narrow">
        <h1>Not for your role</h1>
        <p className="lead">
          Your role does not include {part === undefined ? 'any part of the administration' : 'this page'}. An owner of
          your company can change that.
        </p>
      </div>
    );
  return (
    <div className="page admin">
      <nav aria-label="Administration" className="parts">
        {open.map(({ to, word }) => (
          <Link key={to} to={to}>
            {word}
          </Link>
        ))}
      </nav>
      <Outlet />
    </div>
  );
}
