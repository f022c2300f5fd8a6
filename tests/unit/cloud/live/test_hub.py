"""The live hub: newest state and never a queue, order by sequence, leases renewed while they are held."""

import asyncio
from pathlib import Path

import pytest

from cloud.live import hub as hub_module
from cloud.live.hub import LiveHub
from cloud.telemetry.writer import load_latest
from sync_protocol.codec import encode
from sync_protocol.errors import NotFound
from sync_protocol.messages import Command, Meta, TimeAnchor, decode_down
from tests.support.fleet import LocalPlane, MemoryRegistry
from tests.support.frames import EPOCH_MS, Drive, group

ANCHORED = Meta((), (TimeAnchor(5_000, EPOCH_MS + 5_000, "gps", 20),))


class Published:
    """What went down."""

    def __init__(self) -> None:
        self.messages: list[tuple[str, bytes]] = []
        self.is_connected = True

    async def __call__(self, subject: str, data: bytes) -> bool:
        if self.is_connected:
            self.messages.append((subject, data))
        return self.is_connected


def make_hub(plane: LocalPlane | None = None, now_ms: int = EPOCH_MS + 30_000) -> tuple[LiveHub, Published]:
    published = Published()
    registry = plane.registry if plane is not None else MemoryRegistry()
    return LiveHub(registry, published, lambda: now_ms), published


@pytest.fixture
def plane(tmp_path: Path) -> LocalPlane:
    return LocalPlane(tmp_path)


def test_a_slow_client_gets_the_newest_state_and_no_queue(plane: LocalPlane) -> None:
    drive = Drive(1)

    async def scenario() -> None:
        hub, _ = make_hub(plane)
        with hub.client(1) as client:
            assert (await client.next()).vehicles == []
            for seq in range(1, 40):
                hub.apply(plane.take([drive.frame(seq)]))
            message = await client.next()
            assert message.type == "changes"
            (vehicle,) = message.vehicles
            assert vehicle.ts_ms == drive.utc_ms(drive.first_ms(39) + 9000)
            assert vehicle.speed_kmh == vehicle.values["speed_kmh"]
            assert vehicle.lat_deg is not None

    asyncio.run(scenario())
    plane.close()


def test_changes_bring_only_what_changed_and_to_whom_it_belongs(plane: LocalPlane) -> None:
    async def scenario() -> None:
        hub, _ = make_hub(plane)
        with hub.client(1, frozenset({2})) as narrow, hub.client(2) as other, hub.client(1) as broad:
            for client in (narrow, other, broad):
                assert (await client.next()).type == "snapshot"
            hub.apply(plane.take([Drive(1).frame(1)], "van-1"))
            hub.apply(plane.take([Drive(2).frame(1)], "van-2"))
            assert [v.id for v in (await narrow.next()).vehicles] == [2]
            assert [v.id for v in (await broad.next()).vehicles] == [1, 2]
            with pytest.raises(TimeoutError):
                await asyncio.wait_for(other.next(), 0.05)
            hub.apply(plane.take([Drive(1).frame(1)], "van-1"))  # nothing new
            with pytest.raises(TimeoutError):
                await asyncio.wait_for(broad.next(), 0.05)

    asyncio.run(scenario())
    plane.close()


def test_late_frames_do_not_turn_the_map_back(plane: LocalPlane) -> None:
    drive = Drive(1)
    hub, _ = make_hub(plane)
    hub.apply(plane.take([drive.frame(1), drive.frame(9)]))
    newest = hub.latest(1)
    hub.apply(plane.take([drive.frame(5)]))
    assert hub.latest(1) == newest
    plane.close()


def test_state_survives_a_restart(plane: LocalPlane) -> None:
    drive = Drive(1)
    hub, _ = make_hub(plane)
    hub.apply(plane.take([drive.frame(seq) for seq in range(1, 4)]))
    plane.commit()
    again, _ = make_hub(plane)
    again.load(plane.store.read_sync(load_latest))
    assert again.latest(1) == hub.latest(1)
    assert again.status(1) == hub.status(1) == "driving"
    assert again.status(99) == "unknown"
    later, _ = make_hub(plane, EPOCH_MS + 3_600_000)
    later.load(plane.store.read_sync(load_latest))
    assert later.status(1) == "silent"
    plane.close()


def test_a_ping_after_silence(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(hub_module, "PING_S", 0.01)

    async def scenario() -> None:
        hub, _ = make_hub()
        with hub.client(1) as client:
            await client.next()
            assert (await client.next()).type == "ping"

    asyncio.run(scenario())


def test_watching_asks_the_device_and_renews_no_more_often_than_needed() -> None:
    async def scenario() -> None:
        hub, published = make_hub()
        with pytest.raises(NotFound):
            await hub.watch(1)
        registry = hub._registry
        registry.device("demo", "van-1")
        assert await hub.watch(1) == 60
        await hub.watch(1)
        ((subject, data),) = published.messages
        command = decode_down(data)
        assert subject == "d.demo.van-1"
        assert isinstance(command, Command)
        assert (command.kind, command.args) == ("watch", {"lease_s": 60})

    asyncio.run(scenario())


def test_a_lease_that_the_broker_was_away_for_is_sent_when_it_is_back() -> None:
    async def scenario() -> None:
        hub, published = make_hub()
        hub._registry.device("demo", "van-1")
        published.is_connected = False
        await hub.watch(1)
        published.is_connected = True
        await hub._renew()
        await hub._renew()
        assert len(published.messages) == 1

    asyncio.run(scenario())


def test_a_speed_ends_with_its_signal_and_a_dead_bus_does_not_hide_the_satellites(plane: LocalPlane) -> None:
    times = [5_000, 6_000]
    both = encode(bytes(16), 1, 1, [group({"speed_kmh": [50.0, 52.0], "gps_speed_kmh": [49.0, 51.0]}, times)], ANCHORED)
    only_gps = encode(bytes(16), 2, 1, [group({"gps_speed_kmh": [48.0, 47.0]}, [65_000, 66_000])])
    clock = [EPOCH_MS + 7_000]

    async def scenario() -> None:
        hub = LiveHub(plane.registry, Published(), lambda: clock[0])
        hub.apply(plane.take([both]))
        with hub.client(1) as client:
            assert [v.speed_kmh for v in (await client.next()).vehicles] == [52.0]
            clock[0] = EPOCH_MS + 67_000
            hub.apply(plane.take([only_gps]))
            assert [v.speed_kmh for v in (await client.next()).vehicles] == [47.0]
            before = clock[0]
            clock[0] += 5_000
            hub.end_speeds(before, clock[0])  # still true: nobody is woken
            with pytest.raises(TimeoutError):
                await asyncio.wait_for(client.next(), 0.05)
            before, clock[0] = clock[0], clock[0] + 60_000
            hub.end_speeds(before, clock[0])
            assert [v.speed_kmh for v in (await client.next()).vehicles] == [None]

    asyncio.run(scenario())
    plane.close()
