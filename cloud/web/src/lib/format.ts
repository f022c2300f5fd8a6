import { convert, type UnitSystem, unitDigits, unitLabel } from './units';

/** The app speaks English; one locale keeps numbers and words of one kind, with a 24 hour clock. */
export const LOCALE = 'en-GB';

const whole = new Intl.NumberFormat(LOCALE);
const dateTime = new Intl.DateTimeFormat(LOCALE, {
  day: 'numeric',
  month: 'short',
  hour: '2-digit',
  minute: '2-digit',
  second: '2-digit',
});
const clock = new Intl.DateTimeFormat(LOCALE, { hour: '2-digit', minute: '2-digit', second: '2-digit' });
const day = new Intl.DateTimeFormat(LOCALE, { day: 'numeric', month: 'short', year: 'numeric' });
const minute = new Intl.DateTimeFormat(LOCALE, { day: 'numeric', month: 'short', hour: '2-digit', minute: '2-digit' });

export const formatCount = (count: number): string => whole.format(count);

export const formatDateTime = (ms: number): string => dateTime.format(ms);

export const formatClock = (ms: number): string => clock.format(ms);

/** A day, for what lasts: "3 Dec 2026". */
export const formatDay = (ms: number): string => day.format(ms);

export const formatMinute = (ms: number): string => minute.format(ms);

export const formatNumber = (value: number, digits: number): string =>
  new Intl.NumberFormat(LOCALE, { minimumFractionDigits: digits, maximumFractionDigits: digits }).format(value);

/** A value of the API with its unit for the eye: "46 km/h", "yes". */
export function formatValue(value: number | boolean | null, unit: string, system: UnitSystem): string {
  if (value === null) return '–';
  if (typeof value === 'boolean') return value ? 'yes' : 'no';
  const label = unitLabel(unit, system);
  const text = formatNumber(convert(value, unit, system), unitDigits(unit, system));
  return label === '' ? text : `${text}\u202f${label}`; // a narrow space that does not break
}

/** A span of time in the two largest units: "46 s", "3 min", "2 h 5 min", "4 d 3 h". */
export function formatDuration(seconds: number): string {
  const s = Math.max(0, Math.round(seconds));
  if (s < 60) return `${s} s`;
  if (s < 3600) return `${Math.floor(s / 60)} min`;
  const [big, small, bigName, smallName] =
    s < 86_400
      ? [Math.floor(s / 3600), Math.floor((s % 3600) / 60), 'h', 'min']
      : [Math.floor(s / 86_400), Math.floor((s % 86_400) / 3600), 'd', 'h'];
  return small === 0 ? `${big} ${bigName}` : `${big} ${bigName} ${small} ${smallName}`;
}

/** A span of time in its largest unit: "46 s", "3 min", "2 h", "4 d". */
export function formatShortDuration(seconds: number): string {
  const s = Math.max(0, Math.round(seconds));
  if (s < 60) return `${s} s`;
  if (s < 3600) return `${Math.floor(s / 60)} min`;
  return s < 86_400 ? `${Math.floor(s / 3600)} h` : `${Math.floor(s / 86_400)} d`;
}

/** How long ago, seen from `nowMs`: "just now", "12 s ago". A time ahead of now counts as now. */
export function formatAge(ms: number, nowMs: number): string {
  const seconds = (nowMs - ms) / 1000;
  return seconds < 2 ? 'just now' : `${formatDuration(seconds)} ago`;
}

/** Position in degrees with the hemisphere, five decimals (about a metre). */
export function formatPosition(lat: number, lon: number): string {
  const part = (deg: number, plus: string, minus: string) => `${Math.abs(deg).toFixed(5)}° ${deg < 0 ? minus : plus}`;
  return `${part(lat, 'N', 'S')}, ${part(lon, 'E', 'W')}`;
}

/** "1 frame", "2,301 frames". */
export const plural = (count: number, one: string, many = `${one}s`): string =>
  `${formatCount(count)} ${count === 1 ? one : many}`;

/** What a signal is, without the small print after the colon: that stands in the catalogue. */
export const shortText = (text: string): string => text.split(':')[0] ?? text;
