import { useQueryClient } from '@tanstack/react-query';
import { Link, Outlet, useLocation, useRouter } from '@tanstack/react-router';
import { useEffect, useRef } from 'react';
import { RouterProvider as AriaRouter } from 'react-aria-components';
import { startLive, useLink } from '../live/store';
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

/** What stands around every page: skip link, brand, navigation, the state of the live link. */
export function Shell() {
  const router = useRouter();
  const client = useQueryClient();
  const { pathname } = useLocation();
  const main = useRef<HTMLElement>(null);
  const isFirst = useRef(true);

  useEffect(() => startLive(() => void client.invalidateQueries()), [client]);

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
        <nav aria-label="Main">
          <Link to="/" activeOptions={{ exact: true, includeSearch: false }}>
            Fleet
          </Link>
          <Link to="/devices">Devices</Link>
          <Link to="/signals">Signals</Link>
        </nav>
        <div className="top-end">
          <LinkLamp />
          <DisplayMenu />
          <UserMenu />
        </div>
      </header>
      <LinkBanner />
      <main id="main" tabIndex={-1} ref={main}>
        <Outlet />
      </main>
    </AriaRouter>
  );
}
