/** Colours of lines and axes; at least 4.5:1 against the panel they are drawn on. */
export const CHART_COLOURS = {
  light: {
    lines: ['#0b6b4f', '#1d4f91', '#8a3ca5', '#a35200', '#a3193b', '#2d6a7a'],
    axis: '#4c5751',
    grid: '#e3e0d7',
    gap: '#8d857366',
    cursor: '#12201a',
  },
  dark: {
    lines: ['#5fdcae', '#8cc0ff', '#dba6f0', '#ffb95c', '#ff9fb0', '#86d3e4'],
    axis: '#b4bfb9',
    grid: '#2a322f',
    gap: '#b4bfb955',
    cursor: '#f2f6f4',
  },
} as const;

export const lineColour = (index: number, isDark: boolean): string => {
  const { lines } = CHART_COLOURS[isDark ? 'dark' : 'light'];
  return lines[index % lines.length] ?? lines[0];
};
