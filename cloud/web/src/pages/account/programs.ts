const BROWSERS: readonly [RegExp, string][] = [
  [/Edg\//, 'Edge'],
  [/Firefox\//, 'Firefox'],
  [/Chrome\//, 'Chrome'],
  [/Safari\//, 'Safari'],
];

/** The program behind a session in one word; programs that are no browsers name themselves first. */
export const programOf = (agent: string): string =>
  BROWSERS.find(([pattern]) => pattern.test(agent))?.[1] ?? (agent.split(/[/ ]/)[0] || 'Unknown program');
