"""Derive: the same outputs whatever the order of arrival, exactly once over restarts, gaps passed only when settled."""

import asyncio
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from pathlib import Path
import random
import shutil

import pytest
from sqlalchemy import select
from sqlalchemy.orm import Session

from cloud.config import DeriveConfig
from cloud.db.engine import Database
from cloud.derive.engine import DeriveEngine
from cloud.facts import Registry
from cloud.fleet.cursors import Cursors
from cloud.fleet.step import FaultStep, VehicleStateStep
from cloud.fleet.tables import Device, Fault, Tenant, Vehicle, VehicleState
from cloud.telemetry.derive_reader import DeriveReader
from sync_protocol.codec import encode
from sync_protocol.messages import Event, Gap, Hello, Meta, StreamState, TimeAnchor, encode_hello
from tests.support.fleet import LocalPlane
from tests.support.frames import EPOCH_MS, group

STREAM = bytes(range(16))


class Derived:
    """A local plane with the engine behind it."""

    def __init__(self, folder: Path, url: str, gap_patience_s: float = 1e9) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self.plane = LocalPlane(folder)
        self.db = Database(url)
        now = datetime.now(UTC)
        with Session(self.db.engine) as session, session.begin():
            session.add(Tenant(id=1, name="demo", created=now))
            session.flush()
            session.add_all([Vehicle(id=1, tenant_id=1, name="van", created=now)])
            session.add_all([Device(id=1, tenant_id=1, name="van-1", created=now)])
        self.clock_us = 0
        self.patience_s = gap_patience_s
        self.start()

    def start(self) -> None:
        registry: Registry = self.plane.registry
        self.engine = DeriveEngine(
            DeriveConfig(gap_patience_s=self.patience_s),
            DeriveReader(self.plane.store, registry),
            [VehicleStateStep(), FaultStep()],
            self.db,
            Cursors(),
            clock_us=lambda: self.clock_us,
        )
        asyncio.run(self.engine.load())

    def follow(self) -> None:
        async def turns() -> None:
            for news in self.plane.news:
                self.engine.notify(*news)
            self.plane.news.clear()
            while await self.engine.turn():
                pass

        asyncio.run(turns())

    def outputs(self) -> tuple[list[tuple[object, ...]], list[tuple[object, ...]]]:
        with self.db.engine.connect() as connection:
            states = connection.execute(
                select(VehicleState.vehicle_id, VehicleState.status, VehicleState.since, VehicleState.until).order_by(
                    VehicleState.since
                )
            ).all()
            faults = connection.execute(
                select(
                    Fault.code, Fault.status, Fault.first_seen, Fault.last_seen, Fault.cleared_at, Fault.freeze
                ).order_by(Fault.first_seen, Fault.code)
            ).all()
        return [tuple(row) for row in states], [tuple(row) for row in faults]

    def close(self) -> None:
        self.plane.close()
        self.db.close()


def day() -> dict[int, bytes]:
    """A day: drives, stops, a pause of an hour, codes that come and go, an anchor every 20 frames."""
    frames = {}
    rng = random.Random(4)
    at = 10_000
    for seq in range(1, 401):
        if seq == 200:
            at += 3_600_000
        times = [at + 1000 * i for i in range(10)]
        at += 10_000
        phase = (seq // 15) % 3
        speed = [float(rng.randrange(20, 60)) if phase == 0 else 0.0] * 10
        rpm = [0.0 if phase == 2 else 900.0] * 10
        events = ()
        if seq in (50, 120, 300):
            freeze = {"coolant_c": float(seq), "not_a_signal": 1, "engine_rpm": "fast"}
            events = (Event(times[3], "dtc_set", {"code": "P0420", "status": "stored", "freeze": freeze}),)
        if seq in (130, 350):
            events = (Event(times[5], "dtc_cleared", {"code": "P0420", "status": "stored"}),)
        anchors = (TimeAnchor(times[0], EPOCH_MS + times[0] + seq, "gps", 20),) if seq % 20 == 1 else ()
        groups = [group({"speed_kmh": speed, "engine_rpm": rpm}, times)]
        frames[seq] = encode(STREAM, seq, 1, groups, Meta(events, anchors))
    return frames


@pytest.fixture(scope="module")
def frames() -> dict[int, bytes]:
    return day()


@pytest.fixture(scope="module")
def in_order(
    frames: dict[int, bytes], tmp_path_factory: pytest.TempPathFactory, sqlite_at_head: Path
) -> tuple[list[tuple[object, ...]], list[tuple[object, ...]]]:
    folder = tmp_path_factory.mktemp("in_order")
    derived = Derived(folder, f"sqlite:///{shutil.copy(sqlite_at_head, folder)}")
    for seq in range(1, 401, 40):
        derived.plane.feed([frames[s] for s in range(seq, seq + 40)])
        derived.follow()
    assert derived.engine.rewinds == 0
    out = derived.outputs()
    derived.close()
    return out


@pytest.fixture
def derived(tmp_path: Path, new_url: Callable[[], str]) -> Iterator[Derived]:
    made = Derived(tmp_path, new_url())
    yield made
    made.close()


def test_in_order_gives_intervals_and_spells(
    in_order: tuple[list[tuple[object, ...]], list[tuple[object, ...]]],
) -> None:
    states, faults = in_order
    assert {state[1] for state in states} == {"driving", "idling", "parked", "silent"}
    assert [state[3] for state in states[:-1]] == [state[2] for state in states[1:]]
    assert states[-1][3] is None
    assert len(faults) == 2
    assert all(fault[4] is not None for fault in faults)
    assert faults[0][2] < faults[0][3]
    assert [fault[5] for fault in faults] == [{"coolant_c": 50.0}, {"coolant_c": 300.0}]


@pytest.mark.parametrize("chunk", [1, 7, 100])
def test_newest_first_gives_the_same(
    derived: Derived,
    frames: dict[int, bytes],
    in_order: tuple[list[tuple[object, ...]], list[tuple[object, ...]]],
    chunk: int,
) -> None:
    newest = list(range(381, 401))
    order = [*newest, *range(1, 381)]
    step = chunk * 20
    for at in range(0, len(order), step):
        derived.plane.feed([frames[seq] for seq in order[at : at + step]])
        derived.follow()
    assert derived.outputs() == in_order
    derived.plane.verify()


@pytest.mark.slow
def test_any_order_over_restarts_gives_the_same(
    derived: Derived,
    frames: dict[int, bytes],
    in_order: tuple[list[tuple[object, ...]], list[tuple[object, ...]]],
) -> None:
    order = list(frames)
    random.Random(1).shuffle(order)
    # The hello says that everything else is lost, then it arrives after all: derive has gone on and must come back.
    for at in range(0, 400, 50):
        derived.plane.feed([frames[seq] for seq in order[at : at + 50]])
        there = set(order[: at + 50])
        lost = tuple(Gap(seq, seq, "power") for seq in frames if seq not in there)
        hello = Hello("test", 1, 5, (StreamState(STREAM, True, 400, (), (), lost),))
        derived.plane.feed([encode_hello(hello)])
        derived.follow()
        derived.start()
        derived.follow()
    assert derived.outputs() == in_order
    derived.plane.verify()


def test_a_gap_holds_until_it_is_settled(tmp_path: Path, new_url: Callable[[], str], frames: dict[int, bytes]) -> None:
    derived = Derived(tmp_path / "gap", new_url(), gap_patience_s=100)
    derived.plane.feed([frames[seq] for seq in (*range(1, 31), *range(40, 61))])
    derived.follow()
    held = derived.outputs()
    assert derived.engine.frames == 30
    derived.clock_us = 99_000_000
    derived.plane.news.append((frozenset({1}), False))
    derived.follow()
    assert derived.outputs() == held
    derived.start()
    derived.clock_us = 101_000_000
    derived.follow()
    assert derived.engine.frames == 21
    derived.close()


def test_a_clock_set_back_by_ten_years_prolongs_no_gap_by_ten_years(
    tmp_path: Path, new_url: Callable[[], str], frames: dict[int, bytes]
) -> None:
    ten_years_us = 10 * 365 * 86_400_000_000
    derived = Derived(tmp_path / "gap", new_url(), gap_patience_s=100)
    derived.clock_us = ten_years_us
    derived.plane.feed([frames[seq] for seq in (*range(1, 31), *range(40, 61))])
    derived.follow()
    derived.start()
    for derived.clock_us in (0, 99_000_000):
        derived.plane.news.append((frozenset({1}), False))
        derived.follow()
        assert derived.engine.frames == 0
    derived.clock_us = 101_000_000
    derived.plane.news.append((frozenset({1}), False))
    derived.follow()
    assert derived.engine.frames == 21
    derived.close()


def test_frames_without_time_wait(derived: Derived, frames: dict[int, bytes]) -> None:
    derived.plane.feed([frames[seq] for seq in range(2, 11)])
    hello = Hello("test", 1, 5, (StreamState(STREAM, False, 400, (), tuple((s, s) for s in range(11, 401))),))
    derived.plane.feed([encode_hello(hello)])
    derived.follow()
    assert derived.outputs() == ([], [])
    derived.plane.feed([frames[1]])
    derived.follow()
    assert derived.outputs()[0] != []
