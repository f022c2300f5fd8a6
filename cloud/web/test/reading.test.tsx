import { virtual } from '@guidepup/virtual-screen-reader';
import { QueryClientProvider } from '@tanstack/react-query';
import {
  createMemoryHistory,
  createRootRoute,
  createRoute,
  createRouter,
  RouterProvider,
} from '@tanstack/react-router';
import { render, screen } from '@testing-library/react';
import { afterEach, expect, test, vi } from 'vitest';
import { makeQueryClient } from '../src/api/queries';
import type { Ledger } from '../src/api/types';
import { LedgerPage } from '../src/pages/ledger/LedgerPage';

const LEDGER: Ledger = {
  device_id: 'mp-0007',
  as_of: new Date().toISOString(),
  totals: { stored: 97, pending: 2, lost: 1, quarantined: 0 },
  streams: [
    {
      stream_id: 'cd'.repeat(16),
      is_active: true,
      first_seen: null,
      last_seen: null,
      last_seq: 100,
      boots: 3,
      stored: [
        [1, 49],
        [51, 98],
      ],
      pending: [[99, 100]],
      lost: [{ first: 50, last: 50, reason: 'power' }],
      quarantined: [],
      forked: [],
    },
  ],
  silences: [{ from: '2026-11-23T20:00:00Z', to: '2026-11-24T04:00:00Z', reason: 'ignition_off' }],
};

/** The server, as far as this page asks it. */
function serve(path: string): Response {
  if (path === '/api/v1/auth/refresh') return Response.json({ access_token: 'held', expires_in: 600 });
  if (path === '/api/v1/devices/mp-0007/ledger') return Response.json(LEDGER);
  if (path === '/api/v1/devices/mp-0007')
    return Response.json({ ...LEDGER, id: 'mp-0007', vehicle_id: null, last_seen: null });
  const problem = { type: 'about:blank', title: 'Not found', status: 404, detail: 'No such device.' };
  return Response.json(problem, { status: 404 });
}

function show(path: string): HTMLElement {
  vi.stubGlobal(
    'fetch',
    vi.fn(async (url: string) => serve(url)),
  );
  const root = createRootRoute();
  const paths = ['/devices', '/devices/$id', '/check', '/'] as const;
  const routes = paths.map((each) =>
    createRoute({
      getParentRoute: () => root,
      path: each,
      component: each === '/devices/$id' ? LedgerPage : () => null,
    }),
  );
  const router = createRouter({
    routeTree: root.addChildren(routes),
    history: createMemoryHistory({ initialEntries: [path] }),
  });
  const { container } = render(
    <QueryClientProvider client={makeQueryClient()}>
      <RouterProvider router={router as never} />
    </QueryClientProvider>,
  );
  return container;
}

afterEach(async () => {
  await virtual.stop();
  vi.unstubAllGlobals();
});

test('a screen reader hears the ledger in order, in plain words', async () => {
  const container = show('/devices/mp-0007');
  await screen.findByRole('heading', { name: '1 frame lost, and we know why' });
  await virtual.start({ container });
  for (let step = 0; step < 200; step++) {
    await virtual.next();
    if ((await virtual.lastSpokenPhrase()) === 'end of document') break;
  }
  const heard = (await virtual.spokenPhraseLog()).join('\n');
  const order = [
    'heading, mp-0007, level 1',
    'heading, 1 frame lost, and we know why, level 2',
    'This device has made 100 frames: 97 stored here, 2 on the way, 1 lost. Nothing is counted twice.',
    'link, how to check it yourself',
    'heading, Every number, from the first to the last, level 2',
    'Numbers 1 to 100: 97 stored, 2 on the way, 1 lost',
    'power was cut while the frame was open',
    'Ignition off.',
  ];
  let at = 0;
  for (const phrase of order) {
    const found = heard.indexOf(phrase, at);
    expect(found, `"${phrase}" after character ${at} of\n${heard}`).toBeGreaterThanOrEqual(0);
    at = found;
  }
});

test('a device that is not there is said to be not there', async () => {
  show('/devices/mp-9999');
  expect(await screen.findByRole('heading', { name: 'This device is not here' })).toBeTruthy();
});
