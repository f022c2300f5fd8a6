import { type GeoJSONSource, LngLatBounds, type MapMouseEvent } from 'maplibre-gl';
import { useCallback, useEffect, useId, useRef } from 'react';
import { Button, ToggleButton } from 'react-aria-components';
import { useIsDark, useReducedMotion } from '../lib/settings';
import { FLEET_OVERLAY, type MapVehicle, vehicleFeatures } from './fleetOverlay';
import { useMap } from './useMap';
import './map.css';

type Props = {
  vehicles: readonly MapVehicle[];
  selectedId: number | null;
  onSelect: (id: number | null) => void;
  isFollowing: boolean;
  onFollowing: (isFollowing: boolean) => void;
  onOpen: (id: number) => void;
};

const CLICK_REACH_PX = 16;
/** The corner that the card of the chosen vehicle covers, with a margin; on narrow screens it stands below the map. */
const CARD = { width: 370, height: 330 };
const CARD_OVER_MAP = '(min-width: 900px)';

export function FleetMap({ vehicles, selectedId, onSelect, isFollowing, onFollowing, onOpen }: Props) {
  const container = useRef<HTMLDivElement>(null);
  const help = useId();
  const isDark = useIsDark();
  const isStill = useReducedMotion();
  const { map, style, error } = useMap(container, FLEET_OVERLAY, isDark);
  const isFitted = useRef(false);
  const newest = useRef(vehicles);
  newest.current = vehicles;
  const latest = useRef({ selectedId, onSelect, onOpen });
  latest.current = { selectedId, onSelect, onOpen };

  const showAll = useCallback(
    (isAnimated: boolean) => {
      if (map === null || newest.current.length === 0) return;
      const bounds = new LngLatBounds();
      for (const { lon_deg, lat_deg } of newest.current) bounds.extend([lon_deg, lat_deg]);
      const left = latest.current.selectedId !== null && matchMedia(CARD_OVER_MAP).matches ? CARD.width : 70;
      map.fitBounds(bounds, {
        padding: { top: 80, right: 70, bottom: 70, left },
        maxZoom: 14,
        animate: isAnimated && !isStill,
      });
    },
    [map, isStill],
  );

  useEffect(() => {
    if (map === null || style === 0) return;
    const source = map.getSource<GeoJSONSource>('vehicles');
    void source?.setData(vehicleFeatures(vehicles, selectedId, isDark));
    if (container.current !== null) container.current.dataset.vehicles = String(vehicles.length);
    if (!isFitted.current && vehicles.length > 0) {
      isFitted.current = true;
      showAll(false);
    }
  }, [map, style, vehicles, selectedId, isDark, showAll]);

  useEffect(() => {
    if (map === null) return;
    const onClick = ({ point }: MapMouseEvent) => {
      const box: [[number, number], [number, number]] = [
        [point.x - CLICK_REACH_PX, point.y - CLICK_REACH_PX],
        [point.x + CLICK_REACH_PX, point.y + CLICK_REACH_PX],
      ];
      const [hit] = map.queryRenderedFeatures(box, { layers: ['vehicles'] });
      onSelect(typeof hit?.properties.id === 'number' ? hit.properties.id : null);
    };
    const onDrag = () => onFollowing(false);
    const point = () => {
      map.getCanvas().style.cursor = 'pointer';
    };
    const unpoint = () => {
      map.getCanvas().style.cursor = '';
    };
    map.on('click', onClick);
    map.on('dragstart', onDrag);
    map.on('mouseenter', 'vehicles', point);
    map.on('mouseleave', 'vehicles', unpoint);
    return () => {
      map.off('click', onClick);
      map.off('dragstart', onDrag);
      map.off('mouseenter', 'vehicles', point);
      map.off('mouseleave', 'vehicles', unpoint);
    };
  }, [map, onSelect, onFollowing]);

  const chosen = vehicles.find((vehicle) => vehicle.id === selectedId);
  const lat = chosen?.lat_deg;
  const lon = chosen?.lon_deg;
  const chosenId = chosen?.id;

  useEffect(() => {
    if (map === null || chosenId === undefined) return;
    const now = newest.current.find((vehicle) => vehicle.id === chosenId);
    if (now === undefined) return;
    const { x, y } = map.project([now.lon_deg, now.lat_deg]);
    const { clientWidth, clientHeight } = map.getContainer();
    const isSeen = x > 0 && y > 0 && x < clientWidth && y < clientHeight;
    const isUnderCard = matchMedia(CARD_OVER_MAP).matches && x < CARD.width && y > clientHeight - CARD.height;
    if (isSeen && !isUnderCard) return;
    map.easeTo({ center: [now.lon_deg, now.lat_deg], animate: !isStill });
  }, [map, chosenId, isStill]);

  useEffect(() => {
    if (map === null || !isFollowing || lat === undefined || lon === undefined) return;
    map.easeTo({ center: [lon, lat], zoom: Math.max(map.getZoom(), 14), duration: 900, animate: !isStill });
  }, [map, isFollowing, lat, lon, isStill]);

  useEffect(() => {
    if (map === null) return;
    const canvas = map.getCanvas();
    // Single keys work only while the map itself has the focus.
    const onKeyDown = (event: KeyboardEvent) => {
      const now = latest.current;
      const all = newest.current;
      if (event.altKey || event.ctrlKey || event.metaKey || all.length === 0) return;
      const step = event.key === 'n' ? 1 : event.key === 'p' ? -1 : 0;
      if (step !== 0) {
        const at = all.findIndex((vehicle) => vehicle.id === now.selectedId);
        const next = at === -1 && step === -1 ? all.length - 1 : (at + step + all.length) % all.length;
        now.onSelect(all[next]?.id ?? null);
      } else if (event.key === 'Enter' && now.selectedId !== null) now.onOpen(now.selectedId);
      else if (event.key === 'Escape') now.onSelect(null);
      else return;
      event.preventDefault();
    };
    canvas.addEventListener('keydown', onKeyDown);
    return () => canvas.removeEventListener('keydown', onKeyDown);
  }, [map]);

  return (
    <div className="map-frame">
      <section
        ref={container}
        className="map-canvas"
        aria-label="Live map"
        aria-describedby={help}
        data-vehicles="0"
        data-tiles="loading"
      />
      <p id={help} className="visually-hidden">
        With the map in focus: arrow keys move it, plus and minus zoom, N and P choose the next and previous vehicle,
        Enter opens it. The vehicle list has everything that the map shows.
      </p>
      {error !== null && <p className="map-error">{error} The list has every vehicle all the same.</p>}
      <div className="map-tools">
        <Button className="button" onPress={() => showAll(true)} isDisabled={vehicles.length === 0}>
          Show all
        </Button>
        <ToggleButton
          className="button"
          isSelected={isFollowing}
          onChange={onFollowing}
          isDisabled={chosen === undefined}
        >
          Follow
        </ToggleButton>
      </div>
    </div>
  );
}
