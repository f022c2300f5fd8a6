import type { Track } from '../api/types';

/** A pause longer than this breaks the line: what was not measured is not drawn. */
const GAP_MS = 120_000;

/** The track as lines of [lon, lat], broken where the vehicle was silent. A lone point gives no line. */
export function trackLines(track: Track): [number, number][][] {
  const lines: [number, number][][] = [];
  let line: [number, number][] = [];
  let before: number | undefined;
  for (const [index, ts] of track.ts_ms.entries()) {
    const lat = track.lat_deg[index];
    const lon = track.lon_deg[index];
    if (lat === undefined || lon === undefined) continue;
    if (before !== undefined && ts - before > GAP_MS) {
      if (line.length > 1) lines.push(line);
      line = [];
    }
    line.push([lon, lat]);
    before = ts;
  }
  if (line.length > 1) lines.push(line);
  return lines;
}

const EARTH_KM = 6371;
const radians = (deg: number) => (deg * Math.PI) / 180;

/** Length of the drawn lines in km, on the sphere. */
export function trackLengthKm(lines: readonly (readonly [number, number][])[]): number {
  let sum = 0;
  for (const line of lines) {
    for (let i = 1; i < line.length; i++) {
      const [lonA = 0, latA = 0] = line[i - 1] ?? [];
      const [lonB = 0, latB = 0] = line[i] ?? [];
      const dLat = radians(latB - latA);
      const dLon = radians(lonB - lonA);
      const h = Math.sin(dLat / 2) ** 2 + Math.cos(radians(latA)) * Math.cos(radians(latB)) * Math.sin(dLon / 2) ** 2;
      sum += 2 * EARTH_KM * Math.asin(Math.min(1, Math.sqrt(h)));
    }
  }
  return sum;
}
