import { useQueryClient } from '@tanstack/react-query';
import { Link, Outlet, useLocation, useRouter } from '@tanstack/react-router';
import { useEffect, useRef } from 'react';
import { RouterProvider as AriaRouter } from 'react-aria-components';
import { startLive, useLink } from '../live/store';
import { ADMIN_PARTS, useMay } from './access';
import { Brand } from './Brand';
import { DisplayMenu } from './DisplayMenu';
import { LinkBanner } from './LinkBanner';
import { UserMenu } from './UserMenu';
import './shell.css';

const PHASE_WORDS = { connecting: 'Connecting', live: 'Live', waiting: 'Not connected' } as const;

function LinkLamp() {
  const { phase } = useLink();
  return <span className={`lamp lamp-${phase}`}>{PHASE_WORDS[phase]}</span>;
}

function Navigation() {
  const may = useMay();
  return (
    <nav aria-label="Main">
      {may('fleet.read') !== false && (
        <Link to="/" activeOptions={{ exact: true, includeSearch: false }}>
          Fleet
        </Link>
      )}
      {may('devices.read') !== false && <Link to="/devices">Devices</Link>}
      <Link to="/signals">Signals</Link>
      {ADMIN_PARTS.some(({ action }) => may(action)) && <Link to="/admin">Admin</Link>}
    </nav>
  );
}

/** What stands around every page: skip link, brand, navigation, the state of the live link. */
export function Shell() {
  const router = useRouter();
  const client = useQueryClient();
  const { pathname } = useLocation();
  const main = useRef<HTMLElement>(null);
  const isFirst = useRef(true);
  // Somebody who may not see the fleet would only be refused, again and again.
  const isLive = useMay()('fleet.read') !== false;

  useEffect(() => (isLive ? startLive(() => void client.invalidateQueries()) : undefined), [client, isLive]);

  // biome-ignore lint/correctness/useExhaustiveDependencies: a new page is what must move the focus to its start
  useEffect(() => {
    if (isFirst.current) {
      isFirst.current = false;
      return;
    }
    scrollTo(0, 0);
    main.current?.focus({ preventScroll: true });
  }, [pathname]);

  return (
    <AriaRouter navigate={(href) => void router.navigate({ href })}>
      <a className="skip" href="#main">
        Skip to the content
      </a>
      <header className="top">
        <Link to="/" className="brand" aria-label="Milepost, fleet">
          <Brand />
        </Link>
        <Navigation />
        <div className="top-end">
          {isLive && <LinkLamp />}
          <DisplayMenu />
          <UserMenu />
        </div>
      </header>
      {isLive && <LinkBanner />}
      <main id="main" tabIndex={-1} ref={main}>
        <Outlet />
      </main>
    </AriaRouter>
  );
}
