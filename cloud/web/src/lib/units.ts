/**
 * The only place where a quantity changes its unit. Everything else in the app carries the units of the signal
 * catalogue (COVESA VSS), as the API sends them.
 */
export type UnitSystem = 'metric' | 'imperial';

type Display = { label: string; spoken: string; digits: number; factor: number; offset: number };

const same = (label: string, spoken: string, digits: number): Display => ({
  label,
  spoken,
  digits,
  factor: 1,
  offset: 0,
});

const METRIC: Record<string, Display> = {
  '': same('', '', 0),
  'km/h': same('km/h', 'kilometres per hour', 0),
  km: same('km', 'kilometres', 1),
  m: same('m', 'metres', 1),
  celsius: same('°C', 'degrees Celsius', 0),
  percent: same('%', 'percent', 1),
  kPa: same('kPa', 'kilopascals', 0),
  Pa: same('Pa', 'pascals', 0),
  'l/h': same('l/h', 'litres per hour', 2),
  'g/s': same('g/s', 'grams per second', 2),
  Nm: same('Nm', 'newton metres', 0),
  V: same('V', 'volts', 2),
  mA: same('mA', 'milliamperes', 2),
  rpm: same('rpm', 'revolutions per minute', 0),
  s: same('s', 'seconds', 0),
  min: same('min', 'minutes', 0),
  degrees: same('°', 'degrees', 1),
  'degrees/s': same('°/s', 'degrees per second', 1),
  'm/s^2': same('m/s²', 'metres per second squared', 2),
  ratio: same('', '', 3),
};

const IMPERIAL: Record<string, Display> = {
  ...METRIC,
  'km/h': { label: 'mph', spoken: 'miles per hour', digits: 0, factor: 1 / 1.609344, offset: 0 },
  km: { label: 'mi', spoken: 'miles', digits: 1, factor: 1 / 1.609344, offset: 0 },
  m: { label: 'ft', spoken: 'feet', digits: 0, factor: 1 / 0.3048, offset: 0 },
  celsius: { label: '°F', spoken: 'degrees Fahrenheit', digits: 0, factor: 1.8, offset: 32 },
  kPa: { label: 'psi', spoken: 'pounds per square inch', digits: 1, factor: 1 / 6.894757293168361, offset: 0 },
  'l/h': { label: 'gal/h', spoken: 'gallons per hour', digits: 3, factor: 1 / 3.785411784, offset: 0 },
  Nm: { label: 'lb·ft', spoken: 'pound feet', digits: 0, factor: 1 / 1.3558179483314, offset: 0 },
};

const display = (unit: string, system: UnitSystem): Display => {
  const table = system === 'imperial' ? IMPERIAL : METRIC;
  return table[unit] ?? same(unit, unit, 2);
};

/** The number to show for a value in a catalogue unit. */
export const convert = (value: number, unit: string, system: UnitSystem): number => {
  const { factor, offset } = display(unit, system);
  return value * factor + offset;
};

/** The unit as written beside a number, without a space; empty where there is none. */
export const unitLabel = (unit: string, system: UnitSystem): string => display(unit, system).label;

/** The unit as a screen reader should say it. */
export const unitSpoken = (unit: string, system: UnitSystem): string => display(unit, system).spoken;

/** How many digits after the point are worth showing. */
export const unitDigits = (unit: string, system: UnitSystem): number => display(unit, system).digits;
