import { addProtocol, setWorkerUrl } from 'maplibre-gl';
import workerUrl from 'maplibre-gl/dist/maplibre-gl-worker.mjs?worker&url';
import { FileSource, PMTiles, Protocol } from 'pmtiles';

setWorkerUrl(workerUrl); // MapLibre 6 behind a bundler: without this line the map stays blank

const protocol = new Protocol();
addProtocol('pmtiles', protocol.tile);

let archives: Promise<void> | undefined;

async function load(name: string): Promise<void> {
  const response = await fetch(`/map/${name}.pmtiles`);
  if (!response.ok) throw new Error(`The map file ${name}.pmtiles is missing (status ${response.status}).`);
  protocol.add(new PMTiles(new FileSource(new File([await response.blob()], name))));
}

/** Both archives, read whole (1.1 MB) and kept in memory: no Range requests, so any server and any cache will do. */
export function loadArchives(): Promise<void> {
  archives ??= Promise.all([load('world'), load('region')]).then(
    () => undefined,
    (error: unknown) => {
      archives = undefined; // a later map may try again
      throw error;
    },
  );
  return archives;
}
