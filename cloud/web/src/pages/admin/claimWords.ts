import type { Claim, NewClaim } from '../../api/enrolment';

/** A code as people read it aloud: in fours. */
export const spaced = (code: string): string => code.match(/[^-\s]{1,4}/g)?.join('-') ?? code;

/** A cell of a CSV file. A leading quote keeps spreadsheets from taking a name for a formula. */
const cell = (text: string): string => `"${(/^[=+\-@\t\r]/.test(text) ? `'${text}` : text).replaceAll('"', '""')}"`;

/** New codes for a spreadsheet or a label printer, a line each (RFC 4180). */
export function claimsCsv(claims: readonly NewClaim[], names: ReadonlyMap<number, string>): string {
  const rows = claims.map(({ code, vehicle_id, expires, payload }) => [
    spaced(code),
    vehicle_id === null ? '' : (names.get(vehicle_id) ?? String(vehicle_id)),
    expires,
    payload,
  ]);
  return [['code', 'vehicle', 'expires', 'payload'], ...rows].map((row) => `${row.map(cell).join(',')}\r\n`).join('');
}

export type ClaimState = 'open' | 'used' | 'expired';

export const stateOf = (claim: Claim, nowMs: number): ClaimState =>
  claim.used !== null ? 'used' : Date.parse(claim.expires) <= nowMs ? 'expired' : 'open';
