import { describe, expect, test } from 'vitest';
import { formatAge, formatDuration, formatPosition, formatShortDuration, formatValue, plural } from '../src/lib/format';
import { convert, unitDigits, unitLabel, unitSpoken } from '../src/lib/units';

describe('units', () => {
  test.each([
    ['km/h', 100, 62.137],
    ['celsius', -40, -40],
    ['celsius', 100, 212],
    ['km', 1.609344, 1],
    ['m', 0.3048, 1],
    ['kPa', 101.325, 14.696],
    ['l/h', 3.785411784, 1],
    ['Nm', 1.3558179483314, 1],
  ])('imperial %s of %d', (unit, value, expected) => {
    expect(convert(value, unit, 'imperial')).toBeCloseTo(expected, 3);
    expect(convert(value, unit, 'metric')).toBe(value);
  });

  test('a unit that nobody knows is shown as it came', () => {
    expect(unitLabel('furlong', 'imperial')).toBe('furlong');
    expect(unitSpoken('furlong', 'metric')).toBe('furlong');
    expect(unitDigits('furlong', 'metric')).toBe(2);
    expect(convert(3, 'furlong', 'imperial')).toBe(3);
  });

  test('values with their units', () => {
    expect(formatValue(46.4, 'km/h', 'metric')).toBe('46\u202fkm/h');
    expect(formatValue(100, 'km/h', 'imperial')).toBe('62\u202fmph');
    expect(formatValue(1234.25, 'rpm', 'metric')).toBe('1,234\u202frpm');
    expect(formatValue(true, '', 'metric')).toBe('yes');
    expect(formatValue(null, 'km/h', 'metric')).toBe('–');
    expect(formatValue(7, '', 'metric')).toBe('7');
  });
});

describe('words', () => {
  test.each([
    [0.2, '0 s', '0 s'],
    [59.4, '59 s', '59 s'],
    [61, '1 min', '1 min'],
    [3600, '1 h', '1 h'],
    [7260, '2 h 1 min', '2 h'],
    [90_000, '1 d 1 h', '1 d'],
    [-5, '0 s', '0 s'],
  ])('%d seconds', (seconds, long, short) => {
    expect(formatDuration(seconds)).toBe(long);
    expect(formatShortDuration(seconds)).toBe(short);
  });

  test('ages', () => {
    expect(formatAge(10_000, 10_500)).toBe('just now');
    expect(formatAge(20_000, 10_000)).toBe('just now');
    expect(formatAge(0, 12_000)).toBe('12 s ago');
  });

  test('positions and plurals', () => {
    expect(formatPosition(47.1412345, 9.5)).toBe('47.14123° N, 9.50000° E');
    expect(formatPosition(-1, -2)).toBe('1.00000° S, 2.00000° W');
    expect(plural(1, 'frame')).toBe('1 frame');
    expect(plural(2301, 'frame')).toBe('2,301 frames');
  });
});
