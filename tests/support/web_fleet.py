"""A made-up fleet for the web app's tests: everything is a function of the time, so nothing has to be kept.

Twelve vehicles on the simulator's routes. Shapes are those of the HTTP API; see cloud/web/src/api/types.ts.
"""

from datetime import UTC, datetime
import json
import math
from pathlib import Path
import time
from typing import Any

from sync_protocol.signals import catalogue

ROUTES = Path(__file__).parents[2] / "edge" / "simulator" / "routes"
STATUSES = [
    "driving",
    "driving",
    "driving",
    "idling",
    "driving",
    "parked",
    "driving",
    "silent",
    "driving",
    "parked",
    "idling",
]
KINDS = [("Ford", "Transit", 2021), ("Mercedes-Benz", "Sprinter", 2019), ("Volkswagen", "Caddy", 2022)]
LIVE = ("speed_kmh", "engine_rpm", "fuel_level_pct", "coolant_c", "battery_v")
OTHERS = (
    "engine_load_pct",
    "throttle_pct",
    "intake_air_c",
    "manifold_kpa",
    "ambient_c",
    "module_v",
    "is_mil_on",
    "fuel_rate_est_lh",
    "odometer_km",
    "altitude_m",
    "satellites_count",
    "heading_deg",
)
STALE = {"ambient_c", "odometer_km"}
TROUBLE = {"P0301": "Cylinder 1 misfire detected", "P0128": "Coolant temperature below thermostat range"}


def iso(epoch_s: float) -> str:
    """ISO 8601 in UTC with milliseconds and Z."""
    return datetime.fromtimestamp(epoch_s, UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def _routes() -> list[list[tuple[float, float]]]:
    if ROUTES.is_dir():
        return [
            [(lat, lon) for lat, lon in json.loads(path.read_text())["points"]]
            for path in sorted(ROUTES.glob("*.json"))
        ]
    turns = [2 * math.pi * step / 200 for step in range(201)]
    return [[(47.14 + 0.03 * math.sin(turn), 9.525 + 0.012 * math.cos(turn)) for turn in turns]]


class Fleet:
    """`count` vehicles, the first eleven as STATUSES says, the last one never heard of."""

    def __init__(self, count: int = 12) -> None:
        self.ids = range(1, count + 1)
        self._lines = [_Line(points) for points in _routes()]
        self._born = time.time()

    def status(self, vehicle: int) -> str:
        return STATUSES[vehicle - 1] if vehicle <= len(STATUSES) else "unknown"

    def last_seen(self, vehicle: int, now: float) -> float | None:
        """A parked vehicle was last heard a while ago, a silent one for too long."""
        ago = {"driving": 1.0, "idling": 2.0, "parked": 5400.0 + 900 * vehicle, "silent": 8000.0}.get(
            self.status(vehicle)
        )
        return None if ago is None else now - ago

    def position(self, vehicle: int, at: float) -> dict[str, Any]:
        speed = self.value(vehicle, "speed_kmh", at)
        line = self._lines[vehicle % len(self._lines)]
        lat, lon, heading = line.at(
            at * 11.0 + vehicle * 2300.0 if self.status(vehicle) == "driving" else vehicle * 2300.0
        )
        return {"lat_deg": lat, "lon_deg": lon, "heading_deg": heading, "speed_kmh": speed, "ts": iso(at)}

    def value(self, vehicle: int, signal: str, at: float) -> float:
        """A plausible value of a signal at a time: smooth waves, and stop-and-go for the speed."""
        if self.status(vehicle) != "driving" and signal in ("speed_kmh", "engine_rpm"):
            return 0.0 if signal == "speed_kmh" else 820.0 if self.status(vehicle) == "idling" else 0.0
        wave = math.sin(at / 41 + vehicle) + 0.6 * math.sin(at / 17.3 + 2 * vehicle) + 0.25 * math.sin(at / 3.1)
        row = catalogue().by_name[signal]
        middle, spread = {
            "speed_kmh": (46.0, 27.0),
            "engine_rpm": (1750.0, 520.0),
            "fuel_level_pct": (61.0, 0.6),
            "fuel_rate_est_lh": (7.4, 3.1),
            "coolant_c": (89.0, 1.6),
            "battery_v": (14.1, 0.1),
            "odometer_km": (18234.5, 0.0),
            "altitude_m": (460.0, 12.0),
            "module_v": (14.2, 0.1),
            "manifold_kpa": (58.0, 14.0),
            "ambient_c": (11.0, 0.0),
            "intake_air_c": (24.0, 2.0),
            "satellites_count": (11.0, 1.0),
            "heading_deg": (180.0, 90.0),
            "is_mil_on": (0.0, 0.0),
        }.get(signal, (row.min + (row.max - row.min) * 0.3, (row.max - row.min) * 0.08))
        step = float(row.factor)
        return round(max(row.min, min(row.max, middle + spread * wave)) / step) * step

    def summary(self, vehicle: int) -> dict[str, Any]:
        now = time.time()
        seen = self.last_seen(vehicle, now)
        make, model, year = KINDS[vehicle % len(KINDS)]
        known = seen is not None
        return {
            "id": vehicle,
            "name": f"Van {vehicle:02d}",
            "plate": f"FL {30_000 + vehicle * 1234}" if known else None,
            "vin": f"WDB90665{vehicle:09d}" if known else None,
            "make": make if known else None,
            "model": model if known else None,
            "year": year if known else None,
            "device_id": f"mp-{vehicle:04d}",
            "state": {
                "status": self.status(vehicle),
                "since": None if seen is None else iso(self._born - 700 * vehicle),
            },
            "last_seen": None if seen is None else iso(seen),
            "position": None if seen is None else self.position(vehicle, seen),
            "values": {} if seen is None else {name: self.value(vehicle, name, seen) for name in LIVE},
            "fault_count": {3: 1, 7: 2}.get(vehicle, 0),
        }

    def live(self, vehicle: int) -> dict[str, Any]:
        now = time.time()
        seen = self.last_seen(vehicle, now)
        if seen is None:
            place: dict[str, Any] = dict.fromkeys(("lat_deg", "lon_deg", "heading_deg", "speed_kmh"))
            return {"id": vehicle, "status": "unknown", "ts_ms": None, **place, "values": {}}
        place = self.position(vehicle, seen)
        place.pop("ts")
        values = {name: self.value(vehicle, name, seen) for name in LIVE}
        return {"id": vehicle, "status": self.status(vehicle), "ts_ms": int(seen * 1000), **place, "values": values}

    def state(self, vehicle: int) -> list[dict[str, Any]]:
        now = time.time()
        seen = self.last_seen(vehicle, now)
        if seen is None:
            return []
        rows = []
        for name in LIVE + OTHERS:
            signal = catalogue().by_name[name]
            at = seen - (3 * signal.stale_s if name in STALE else signal.period_s)
            value: float | bool = self.value(vehicle, name, at)
            rows.append(
                {
                    "signal": name,
                    "value": bool(value) if signal.type == "boolean" else value,
                    "unit": signal.unit,
                    "ts": iso(at),
                    "age_s": now - at,
                    "is_stale": now - at > signal.stale_s,
                    "text": signal.text,
                }
            )
        return rows

    def history(self, vehicle: int, names: list[str], from_s: float, to_s: float, points: int) -> dict[str, Any]:
        """With a gap of a tenth of the range at its middle, and nothing after the vehicle was last seen."""
        length = to_s - from_s
        tier, step = ("raw", 1.0) if length <= 7200 else ("1m", 60.0) if length <= 14 * 86_400 else ("1h", 3600.0)
        step = max(step, length / points)
        gap = (from_s + 0.5 * length, from_s + 0.6 * length)
        seen = self.last_seen(vehicle, time.time()) or 0.0
        end = min(to_s, seen)
        times = [from_s + step * index for index in range(max(0, int((end - from_s) / step)))]
        series = []
        for name in names:
            value = [None if gap[0] < at < gap[1] else self.value(vehicle, name, at) for at in times]
            spread = 0.0 if tier == "raw" else 6.0 * float(catalogue().by_name[name].factor)
            low = [None if v is None else v - spread for v in value]
            high = [None if v is None else v + spread for v in value]
            series.append(
                {
                    "signal": name,
                    "unit": catalogue().by_name[name].unit,
                    "ts_ms": [int(at * 1000) for at in times],
                    "value": value,
                    "min": None if tier == "raw" else low,
                    "max": None if tier == "raw" else high,
                }
            )
        return {"from": iso(from_s), "to": iso(to_s), "tier": tier, "series": series}

    def track(self, vehicle: int, from_s: float, to_s: float) -> dict[str, Any]:
        seen = self.last_seen(vehicle, time.time())
        if seen is None:
            return {"ts_ms": [], "lat_deg": [], "lon_deg": [], "speed_kmh": []}
        times = [
            at for at in (from_s + 10.0 * step for step in range(int((to_s - from_s) / 10))) if seen - 2400 < at <= seen
        ]
        places = [self.position(vehicle, at) for at in times]
        return {
            "ts_ms": [int(at * 1000) for at in times],
            **{key: [place[key] for place in places] for key in ("lat_deg", "lon_deg", "speed_kmh")},
        }

    def states(self, vehicle: int, from_s: float, to_s: float) -> list[dict[str, Any]]:
        """Parked over night, then driving and idling in turns, at last what it does now."""
        seen = self.last_seen(vehicle, time.time())
        if seen is None:
            return []
        start = to_s - 9 * 3600
        edges = [
            (from_s, "parked"),
            *((start + 2400 * i, ("driving", "idling", "driving", "parked")[i % 4]) for i in range(12)),
        ]
        edges.append((seen - 700, self.status(vehicle)))
        ends = [iso(at) for at, _ in edges[1:]]
        return [
            {"status": status, "from": iso(at), "to": end}
            for (at, status), end in zip(edges, [*ends, None], strict=True)
        ]

    def faults(self, vehicle: int) -> list[dict[str, Any]]:
        count = self.summary(vehicle)["fault_count"]
        now = time.time()
        items = [
            {
                "code": code,
                "status": "stored",
                "text": text,
                "first_seen": iso(now - 86_400),
                "last_seen": iso(now - 60),
                "cleared_at": None,
                "freeze": [
                    {"signal": "engine_rpm", "value": 2_140.0, "unit": "rpm", "text": "Engine speed"},
                    {"signal": "coolant_c", "value": 88.0, "unit": "celsius", "text": "Coolant temperature"},
                ],
            }
            for code, text in list(TROUBLE.items())[:count]
        ]
        if count:
            items.append(
                {
                    "code": "P1234",
                    "status": "pending",
                    "text": None,
                    "first_seen": iso(now - 900_000),
                    "last_seen": iso(now - 800_000),
                    "cleared_at": iso(now - 700_000),
                    "freeze": [],
                }
            )
        return items

    def events(self, vehicle: int) -> list[dict[str, Any]]:
        now = time.time()
        kinds = [
            ("obd_connected", {"protocol": "ISO 15765-4, 11 bit", "adapter": "ELM327 v1.5"}),
            ("vin_read", {"vin": "WDB9066"}),
            ("dtc_set", {"code": "P0301", "status": "stored"}),
            ("obd_lost", {"reason": "NO DATA"}),
        ]
        return [
            {
                "ts": iso(now - 1800 * index - 40),
                "kind": kinds[index % 4][0],
                "data": kinds[index % 4][1],
                "device_id": f"mp-{vehicle:04d}",
                "seq": 4400 - 180 * index,
            }
            for index in range(12)
        ]


class _Line:
    """A polyline that can be walked: back and forth where it does not end at its start."""

    def __init__(self, points: list[tuple[float, float]]) -> None:
        self._points = points if points[0] == points[-1] else points + points[-2::-1]
        self._at = [0.0]
        for (lat_a, lon_a), (lat_b, lon_b) in zip(self._points, self._points[1:], strict=False):
            east = (lon_b - lon_a) * 111_320 * math.cos(math.radians(lat_a))
            self._at.append(self._at[-1] + math.hypot((lat_b - lat_a) * 110_574, east))

    def at(self, distance_m: float) -> tuple[float, float, float]:
        """(lat_deg, lon_deg, heading_deg) after a distance, round and round."""
        goal = distance_m % self._at[-1]
        low, high = 0, len(self._at) - 1
        while high - low > 1:
            middle = (low + high) // 2
            low, high = (middle, high) if self._at[middle] <= goal else (low, middle)
        (lat_a, lon_a), (lat_b, lon_b) = self._points[low], self._points[high]
        share = (goal - self._at[low]) / max(self._at[high] - self._at[low], 1e-9)
        heading = math.degrees(math.atan2((lon_b - lon_a) * math.cos(math.radians(lat_a)), lat_b - lat_a)) % 360
        return lat_a + share * (lat_b - lat_a), lon_a + share * (lon_b - lon_a), heading
