"""Real recordings as groups of raw integers, one reader for each source. Their traps are handled here, once."""

from collections.abc import Iterator
import csv
import gzip
import io
from pathlib import Path
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from sync_protocol.codec import Group
from sync_protocol.signals import catalogue

KIT_SIGNALS = {
    "Engine Coolant Temperature": "coolant_c",
    "Intake Manifold Absolute Pressure": "manifold_kpa",
    "Engine RPM": "engine_rpm",
    "Vehicle Speed Sensor": "speed_kmh",
    "Intake Air Temperature": "intake_air_c",
    "Air Flow Rate from Mass Flow Sensor": "maf_gs",
    "Absolute Throttle Position": "throttle_pct",
    "Ambient Air Temperature": "ambient_c",
    "Accelerator Pedal Position D": "pedal_d_pct",
    "Accelerator Pedal Position E": "pedal_e_pct",
}

CAROBD_SIGNALS = """
    run_time_s engine_rpm speed_kmh throttle_pct engine_load_pct coolant_c long_trim_1_pct short_trim_1_pct
    manifold_kpa fuel_level_pct throttle_b_pct pedal_d_pct pedal_e_pct commanded_throttle_pct commanded_lambda
    barometric_kpa relative_throttle_pct intake_air_c timing_advance_deg catalyst_b1s1_c catalyst_b1s2_c module_v
    evap_purge_pct mil_time_min clear_time_min mil_distance_km warmups_count
""".split()


class Recording(NamedTuple):
    """Rows at 1 Hz: times_ms (R,), signal ids rising (C,), raw values (C, R), presence (C, R)."""

    name: str
    group: Group

    def frames(self, rows: int) -> Iterator[Group]:
        """Cut into groups of `rows` instants; a last shorter one is left out."""
        g = self.group
        for i in range(0, len(g.times_ms) - rows + 1, rows):
            cut = slice(i, i + rows)
            some = g.present[:, cut].any(axis=1)
            ids = tuple(s for s, has in zip(g.signal_ids, some, strict=True) if has)
            yield Group(ids, g.times_ms[cut], g.values[some, cut], g.present[some, cut])


def recording(name: str, times_ms: NDArray[np.int64], columns: dict[str, NDArray[np.float64]]) -> Recording:
    """Values in the catalogue's units to raw integers; NaN means not read."""
    by_name = catalogue().by_name
    signals = sorted((by_name[n] for n in columns), key=lambda s: s.id)
    values = np.stack([columns[s.name] for s in signals])
    present = ~np.isnan(values)
    raw = np.zeros(values.shape, np.int64)
    for i, s in enumerate(signals):
        exact = (values[i][present[i]] - s.offset) / float(s.factor)
        raw[i][present[i]] = np.rint(exact).astype(np.int64)
    return Recording(name, Group(tuple(s.id for s in signals), times_ms, raw, present))


def carobd(root: Path) -> Iterator[Recording]:
    """Toyota Etios, 27 PIDs, every second row of about 2.04 a second. Rows end with a comma; live6 lacks fields."""
    for path in sorted((root / "obd" / "carobd-toyota-etios").glob("*.csv.gz")):
        lines = _text(path).splitlines()[1:]
        rows = [line.rstrip(", ").split(",") for line in lines if line.strip()]
        good = [[float(x) for x in row] for row in rows if len(row) == len(CAROBD_SIGNALS)][::2]
        if len(good) < 60:
            continue
        table = np.array(good).T
        columns = dict(zip(CAROBD_SIGNALS, table, strict=True))
        yield recording(path.stem, np.arange(len(good), dtype=np.int64) * 1000, columns)


def kit_leon(root: Path) -> Iterator[Recording]:
    """Seat Leon, 10 PIDs, taken at each full second (each PID is fresh about once a second). Headers hold mojibake."""
    for path in sorted((root / "obd" / "kit-seat-leon").glob("*.csv.gz")):
        reader = csv.reader(io.StringIO(_text(path)))
        header = next(reader)
        at = {
            name: i for i, title in enumerate(header) for start, name in KIT_SIGNALS.items() if title.startswith(start)
        }
        seconds: dict[int, list[str]] = {}
        for row in reader:
            h, m, s = row[0].split(":")
            seconds[int(h) * 3600 + int(m) * 60 + int(float(s))] = row
        times = np.array(sorted(seconds), np.int64)
        columns = {
            name: np.array([float(seconds[int(t)][i] or "nan") if i < len(seconds[int(t)]) else np.nan for t in times])
            for name, i in at.items()
        }
        yield recording(path.stem, times * 1000, columns)


def nds(root: Path) -> Iterator[Recording]:
    """Drives with GPS at 1 Hz, some with rpm and throttle."""
    for path in sorted((root / "obd_gps" / "nds-driveplotr").glob("drive_*.csv.gz")):
        rows = list(csv.DictReader(io.StringIO(_text(path))))
        columns: dict[str, NDArray[np.float64]] = {}
        for name, source, factor in NDS_SIGNALS:
            columns[name] = np.array([_number(r[source]) for r in rows]) * factor
        yield recording(path.stem, np.arange(len(rows), dtype=np.int64) * 1000, columns)


NDS_SIGNALS = (
    ("lat_deg", "gps_lat", 1.0),
    ("lon_deg", "gps_long", 1.0),
    ("altitude_m", "gps_elevation", 1.0),
    ("gps_speed_kmh", "speed_mph", 1.609344),
    ("heading_deg", "gps_heading", 1.0),
    ("satellites_count", "gps_sats", 1.0),
    ("hdop", "gps_hdop", 1.0),
    ("engine_rpm", "engine_rpm", 1.0),
    ("throttle_pct", "engine_throttle", 1.0),
)


def _number(text: str) -> float:
    return float(text) if text not in ("", "NA") else float("nan")


def _text(path: Path) -> str:
    with gzip.open(path, "rt", encoding="utf-8", errors="replace") as file:
        return file.read()
