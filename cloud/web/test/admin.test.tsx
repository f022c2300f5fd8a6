import { QueryClientProvider } from '@tanstack/react-query';
import { render, screen, within } from '@testing-library/react';
import userEvent from '@testing-library/user-event';
import { afterEach, describe, expect, test, vi } from 'vitest';
import type { Claim, NewClaim } from '../src/api/enrolment';
import type { AuditItem } from '../src/api/people';
import { makeQueryClient } from '../src/api/queries';
import { programOf } from '../src/pages/account/programs';
import { actorKey, actorWords, differences, objectWords, operationWords } from '../src/pages/admin/auditWords';
import { claimsCsv, spaced, stateOf } from '../src/pages/admin/claimWords';
import { PeoplePage } from '../src/pages/admin/PeoplePage';

const claim = (more: Partial<NewClaim>): NewClaim => ({
  id: 1,
  code: 'ABCDEFGH23456789',
  payload: 'https://m.example/enroll#code=ABCD',
  vehicle_id: null,
  expires: '2026-12-08T00:00:00Z',
  ...more,
});

describe('claim codes', () => {
  test('are read in fours, however the server writes them', () => {
    expect(spaced('ABCDEFGH23456789')).toBe('ABCD-EFGH-2345-6789');
    expect(spaced('ABCD-EFGH-2345-6789')).toBe('ABCD-EFGH-2345-6789');
  });

  test('as CSV cannot break out of a cell, nor become a formula', () => {
    const names = new Map([[3, '=HYPERLINK("x"), a "van"']]);
    const [head, line, end] = claimsCsv([claim({ vehicle_id: 3 })], names).split('\r\n');
    expect(head).toBe('"code","vehicle","expires","payload"');
    expect(line).toBe(
      '"ABCD-EFGH-2345-6789","\'=HYPERLINK(""x""), a ""van""","2026-12-08T00:00:00Z","https://m.example/enroll#code=ABCD"',
    );
    expect(end).toBe('');
  });

  test('are open, used or expired', () => {
    const row: Claim = { ...claim({}), begins: 'ABCD', made_by: '', created: '', used: null, device_id: null };
    const before = Date.parse(row.expires) - 1;
    expect(stateOf(row, before)).toBe('open');
    expect(stateOf(row, before + 1)).toBe('expired');
    expect(stateOf({ ...row, used: '2026-12-01T00:00:00Z' }, before + 1)).toBe('used');
  });
});

describe('the audit log in words', () => {
  const actor = (kind: string, number: number | null, name: string | null): AuditItem['actor'] => ({
    kind,
    number,
    name,
  });

  test('says who, also of somebody who is gone', () => {
    expect(actorWords(actor('user', 7, 'Mara'))).toBe('Mara');
    expect(actorWords(actor('user', 7, null))).toBe('Former user 7');
    expect(actorWords(actor('key', 2, null))).toBe('API key 2');
    expect(actorWords(actor('service', null, null))).toBe('The service itself');
    expect(actorKey(actor('user', 7, 'Mara'))).toBe('user:7');
    expect(actorKey(actor('nobody', null, null))).toBe('nobody');
  });

  test('says what, before and after', () => {
    expect(operationWords('revoke_device')).toBe('Revoke device');
    expect(objectWords('claim_code', '7')).toBe('claim code 7');
    expect(objectWords('audit', '')).toBe('audit');
    expect(differences({ before: { role: 'driver', id: 1 }, after: { role: 'manager', id: 1 } })).toEqual([
      { field: 'role', text: 'driver → manager' },
      { field: 'id', text: '1' },
    ]);
    expect(differences({ before: null, after: { vehicle_id: null } })).toEqual([{ field: 'vehicle id', text: '–' }]);
  });
});

test('a session is named by its browser, or by what the program calls itself', () => {
  expect(programOf('Mozilla/5.0 (X11) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/140.0 Safari/537.36')).toBe(
    'Chrome',
  );
  expect(programOf('python-httpx/0.28')).toBe('python-httpx');
  expect(programOf('')).toBe('Unknown program');
});

describe('inviting', () => {
  afterEach(() => {
    vi.unstubAllGlobals();
  });

  test('sends the role that is shown, and shows the same one afterwards', async () => {
    const orders: unknown[] = [];
    const me = { id: 1, name: 'Mara', tenant: 'north', role: 'owner', actions: ['members.read', 'members.manage'] };
    const answers: Record<string, unknown> = {
      '/api/v1/auth/refresh': { access_token: 'held', expires_in: 600 },
      '/api/v1/me': me,
      '/api/v1/members': { items: [] },
    };
    vi.stubGlobal(
      'fetch',
      vi.fn(async (url: string, init: RequestInit) => {
        if (init.method === 'POST' && url === '/api/v1/invitations') {
          const order = JSON.parse(String(init.body));
          orders.push(order);
          return Response.json({
            id: 9,
            ...order,
            expires: '2026-12-01T00:00:00Z',
            link: 'https://m/i#t',
            is_sent: false,
          });
        }
        return Response.json(answers[url] ?? { items: [] });
      }),
    );
    render(
      <QueryClientProvider client={makeQueryClient()}>
        <PeoplePage />
      </QueryClientProvider>,
    );
    const form = within(await screen.findByRole('form', { name: 'Invite somebody' }));
    const email = () => form.getByLabelText('E-mail address') as HTMLInputElement;
    const role = () => form.getByRole('combobox') as HTMLSelectElement;
    await userEvent.selectOptions(role(), 'auditor');
    await userEvent.type(email(), 'ned@north.example');
    await userEvent.click(form.getByRole('button', { name: 'Invite' }));
    expect(await screen.findByText('https://m/i#t')).toBeTruthy();
    expect(orders).toEqual([{ email: 'ned@north.example', role: 'auditor' }]);
    expect([email().value, role().value]).toEqual(['', 'auditor']);
  });
});
