"""Makes frames like a device does, fast and from a seed: a small drive with engine and position."""

from collections.abc import Iterator, Sequence
import random

import msgspec
import numpy as np

from sync_protocol.codec import Group, encode
from sync_protocol.header import HEADER_BYTES, pack_header, read_header
from sync_protocol.messages import Event, Meta, TimeAnchor
from sync_protocol.signals import catalogue

EPOCH_MS = 1_780_000_000_000
OBD_SIGNALS = (
    "engine_load_pct",
    "coolant_c",
    "short_trim_b1_pct",
    "long_trim_b1_pct",
    "manifold_kpa",
    "engine_rpm",
    "speed_kmh",
    "timing_advance_deg",
    "intake_air_c",
    "maf_gs",
    "throttle_pct",
    "run_time_s",
    "fuel_level_pct",
    "module_v",
    "absolute_load_pct",
    "commanded_lambda",
    "relative_throttle_pct",
    "throttle_b_pct",
    "pedal_d_pct",
    "pedal_e_pct",
    "commanded_throttle_pct",
    "evap_purge_pct",
    "lambda_b1s1",
    "wide_o2_b1s1_v",
    "egr_pct",
    "rail_gauge_kpa",
    "fuel_rate_est_lh",
)
GPS_SIGNALS = ("lat_deg", "lon_deg", "altitude_m", "gps_speed_kmh", "heading_deg")


def ids_of(names: Sequence[str]) -> tuple[int, ...]:
    """Signal ids of names, rising. Names that the catalogue lacks are passed over."""
    return tuple(sorted(catalogue().by_name[name].id for name in names if name in catalogue().by_name))


def raw_of(name: str, value: float) -> int:
    """Raw integer of a value."""
    return catalogue().by_name[name].raw(value)


def group(values: dict[str, Sequence[float | None]], times_ms: Sequence[int]) -> Group:
    """A group from values in their units, None where not read."""
    names = sorted(values, key=lambda name: catalogue().by_name[name].id)
    raw = np.array([[0 if v is None else raw_of(name, v) for v in values[name]] for name in names], np.int64)
    present = np.array([[v is not None for v in values[name]] for name in names], np.bool_)
    return Group(ids_of(names), np.array(times_ms, np.int64), raw, present)


class Drive:
    """One stream of one device: `frame(seq)` is the same bytes whenever it is asked for."""

    def __init__(
        self,
        seed: int,
        *,
        boot: int = 1,
        rows: int = 10,
        start_ms: int = 5_000,
        epoch_ms: int = EPOCH_MS,
        anchor_every: int = 60,
        stream_id: bytes | None = None,
    ) -> None:
        self.random = random.Random(seed)
        self.stream_id = stream_id or self.random.randbytes(16)
        self.boot = boot
        self.rows = rows
        self.start_ms = start_ms
        self.epoch_ms = epoch_ms
        self.anchor_every = anchor_every
        self._obd, self._gps = ids_of(OBD_SIGNALS), ids_of(GPS_SIGNALS)
        self._typical = np.array([catalogue().by_id[i].typical for i in self._obd], np.int64)
        self._speed_at = self._obd.index(catalogue().by_name["speed_kmh"].id)
        self._seed = seed

    def first_ms(self, seq: int) -> int:
        """Device time of a frame's first instant."""
        return self.start_ms + (seq - 1) * self.rows * 1000

    def utc_ms(self, boot_ms: int) -> int:
        """The true UTC of a device time."""
        return self.epoch_ms + boot_ms

    def frame(self, seq: int, events: Sequence[Event] = (), anchors: Sequence[TimeAnchor] | None = None) -> bytes:
        """The frame with this number."""
        rng = np.random.default_rng((self._seed, seq))
        first = self.first_ms(seq)
        times = first + np.arange(self.rows, dtype=np.int64) * 1000
        walk = np.cumsum(rng.integers(-2, 3, (len(self._obd), self.rows)), axis=1)
        walk[rng.random(len(self._obd)) < 0.5] = 0
        values = self._typical[:, None] + walk
        values[self._speed_at] = np.clip(values[self._speed_at], 0, 255)
        k = (seq * self.rows + np.arange(self.rows)).astype(np.int64)
        position = np.stack(
            [
                471_500_000 + k * 900 + rng.integers(-20, 20, self.rows),
                95_500_000 + k * 1300 + rng.integers(-20, 20, self.rows),
                4500 + rng.integers(-3, 4, self.rows),
                400 + rng.integers(-5, 6, self.rows),
                900 + rng.integers(-9, 10, self.rows),
            ]
        )
        groups = [
            Group(self._obd, times, values, np.ones(values.shape, np.bool_)),
            Group(self._gps, times, position, np.ones(position.shape, np.bool_)),
        ]
        if anchors is None:
            is_due = self.anchor_every and (seq - 1) % self.anchor_every == 0
            anchors = (TimeAnchor(first, self.utc_ms(first), "gps", 20),) if is_due else ()
        return encode(self.stream_id, seq, self.boot, groups, Meta(tuple(events), tuple(anchors)))

    def frames(self, first: int, last: int) -> Iterator[bytes]:
        """Frames `first` to `last`."""
        for seq in range(first, last + 1):
            yield self.frame(seq)


def stamped(frame: bytes, stream_id: bytes, seq: int, first_ms: int) -> bytes:
    """The same body under another identity and time: a few microseconds instead of an encoding."""
    header = read_header(frame)
    span = header.last_ms - header.first_ms
    head = msgspec.structs.replace(header, stream_id=stream_id, seq=seq, first_ms=first_ms, last_ms=first_ms + span)
    return pack_header(head) + frame[HEADER_BYTES:]


class CheapFleet:
    """Frames of many devices from a small pool of bodies; each device's first frame brings its time anchor."""

    def __init__(self, devices: int, bodies: int = 200, *, rows: int = 10, epoch_ms: int = EPOCH_MS) -> None:
        self.rng = random.Random(devices)
        self.streams = [self.rng.randbytes(16) for _ in range(devices)]
        self.seqs = [0] * devices
        self.period_ms = rows * 1000
        drives = [Drive(seed, rows=rows, anchor_every=0, epoch_ms=epoch_ms) for seed in range(20)]
        self._pool = [drives[i % 20].frame(1 + i // 20) for i in range(bodies)]
        self._first = Drive(1, rows=rows, epoch_ms=epoch_ms).frame(1)

    def next(self, device: int, first_ms: int | None = None) -> bytes:
        """The device's next frame."""
        self.seqs[device] += 1
        seq = self.seqs[device]
        at = 5_000 + (seq - 1) * self.period_ms if first_ms is None else first_ms
        body = self._first if seq == 1 else self._pool[(device * 37 + seq) % len(self._pool)]
        return stamped(body, self.streams[device], seq, at)
