"""What lies between the stages: committer, tap, notifier, clock, configuration."""

import asyncio
from pathlib import Path
import socket

import msgspec
import pytest

from edge.clock import BUILT_UTC_MS, SystemClock, kernel_boot, machine
from edge.committer import Committer
from edge.config import DeviceConfig
from edge.health import Counters
from edge.ledger_view import read_ledger
from edge.notify import SystemdNotifier
from edge.outbox.opening import outbox_path
from edge.outbox.room import Room
from edge.outbox.worker import OutboxWorker
from edge.sampling.config import SamplingConfig
from edge.sampling.open_frame import ClosedFrame, OpenFrame
from edge.sampling.sampler import Sampler
from edge.sensors.recording import read_recording
from edge.tap import HeldClock, Tap
from sync_protocol.config import load_config
from sync_protocol.errors import ConfigError, Conflict, Full, Invalid, NotFound, Unavailable
from sync_protocol.messages import Event, TimeAnchor
from tests.support.edge_fakes import IDENTITY, FakeClock
from tests.support.waiting import until


def closed(number: int) -> ClosedFrame:
    frame = OpenFrame()
    frame.event(Event(number, "test", {}))
    return frame.close(number)


class FullDisk:
    """An outbox whose disk is full until told otherwise."""

    def __init__(self) -> None:
        self.is_full = True
        self.taken: list[int] = []

    async def append(self, make: object, keep: dict[str, int]) -> None:
        if self.is_full:
            raise Full("no room")
        self.taken.append(keep["odometer_raw"])


def test_frames_wait_for_room_in_order_and_the_oldest_is_dropped_and_counted(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("edge.committer._FULL_RETRY_S", 0.01)

    async def scene() -> None:
        disk, commits = FullDisk(), []
        committer = Committer(disk, lambda: commits.append(1), most_waiting=4)
        task = asyncio.create_task(committer.run())
        for number in range(1, 8):
            committer.put(closed(number))
        await until(lambda: committer.health().errors.get("full", 0) > 1, 5, "a refusal")
        assert committer.health().is_balanced
        assert committer.health().dropped == {"disk_full": 3}
        await committer.drain(0.05)
        disk.is_full = False
        await committer.drain(5)
        assert disk.taken == [1, 5, 6, 7]
        assert len(commits) == 4
        assert committer.health().is_balanced
        task.cancel()

    asyncio.run(scene())


def test_frames_reach_the_outbox_and_the_ledger_can_be_read_beside_it(tmp_path: Path) -> None:
    path = outbox_path(tmp_path, "acme", "van-1")
    with pytest.raises(NotFound):
        read_ledger(path)

    async def scene() -> None:
        worker = await OutboxWorker.open(path, IDENTITY, Room(size_bytes=1 << 18, ballast_bytes=0))
        committer = Committer(worker, lambda: None)
        task = asyncio.create_task(committer.run())
        for number in range(1, 4):
            committer.put(closed(number))
        await committer.drain()
        assert read_ledger(path).committed == 3
        assert read_ledger(path).streams[0].pending == ((1, 3),)
        task.cancel()
        await worker.close()

    asyncio.run(scene())
    path.write_bytes(b"rubbish" * 1000)
    with pytest.raises(Unavailable):
        read_ledger(path)


def test_a_recording_begins_and_ends_while_everything_flows_on(tmp_path: Path) -> None:
    seen: list[tuple[str, dict[str, object]]] = []
    frames: list[ClosedFrame] = []
    clock = HeldClock(FakeClock(1_000))
    sampler = Sampler(SamplingConfig(), clock, frames.append)
    tap = Tap(sampler, clock, lambda kind, data: seen.append((kind, data)))
    target = tmp_path / "recording.jsonl"
    for number in range(2):
        tap.sink("obd").row("obd_1s", 1_000 + number, {14: 1})
        tap.sink("obd").mark([14], 1_000, "no_data")
        tap.event("vin_read", 1_000, {"vin": "X"})
        tap.anchor(TimeAnchor(1_000, 2_000, "gps", 1))
        tap.tick()
        if number == 0:
            tap.start(target)
            assert tap.recording == str(target)
            with pytest.raises(Conflict):
                tap.start(tmp_path / "other")
    assert [frame.samples for frame in frames] == [1, 1]
    assert len(seen) == 2
    tap.watch(5)
    assert sampler.is_watched()
    assert tap.stop() == 6
    assert [type(line).__name__ for line in read_recording(target)] == [
        "Row", "MarkLine", "EventLine", "AnchorLine", "TickLine", "WatchLine",
    ]  # fmt: skip
    with pytest.raises(Conflict):
        tap.stop()
    for bad in (Path("relative.jsonl"), target):
        with pytest.raises(Invalid):
            tap.start(bad)
    with pytest.raises(Unavailable):
        tap.start(tmp_path / "no" / "folder.jsonl")
    tap.start(tmp_path / "second.jsonl")
    tap.close()


def test_systemd_is_told_when_there_is_one(tmp_path: Path) -> None:
    SystemdNotifier({}).send("READY=1")
    SystemdNotifier({"NOTIFY_SOCKET": str(tmp_path / "nobody")}).send("READY=1")
    address = str(tmp_path / "n")
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as manager:
        manager.bind(address)
        notifier = SystemdNotifier({"NOTIFY_SOCKET": address, "WATCHDOG_USEC": "30000000"})
        notifier.send("READY=1")
        assert manager.recv(100) == b"READY=1"
        assert notifier.watchdog_s == 30.0


def test_the_machine_knows_itself_and_the_time() -> None:
    clock = SystemClock()
    first = clock.boot_ms()
    assert clock.boot_ms() >= first > 0
    anchor = clock.anchor()
    assert anchor.source in ("ntp", "rtc", "guess")
    assert (anchor.source == "guess") == (anchor.utc_ms < BUILT_UTC_MS)
    assert kernel_boot() == kernel_boot()
    assert machine() == machine()


def test_a_clock_before_this_software_was_made_is_a_guess(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("time.time_ns", lambda: 0)
    assert SystemClock().anchor().source == "guess"


def test_an_unsynchronised_clock_is_only_a_clock_chip(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("time.time_ns", lambda: (BUILT_UTC_MS + 1) * 1_000_000)
    monkeypatch.setattr("edge.clock.is_synchronised", lambda: False)
    assert SystemClock().anchor().source == "rtc"
    monkeypatch.setattr("edge.clock.is_synchronised", lambda: True)
    assert SystemClock().anchor().source == "ntp"


@pytest.mark.parametrize(
    ("text", "where"),
    [
        ('device = "van-1"', "tenant"),
        ('tenant = "a*"\ndevice = "van-1"', "tenant 'a*'"),
        ('tenant = "a"\ndevice = "v"\n[gps]\nport = 0', "$.gps.port"),
        ('tenant = "a"\ndevice = "v"\n[uplink]\ncolour = "red"', "colour"),
        ('tenant = "a"\ndevice = "v"\n[sampling]\nframe_period_s = -1', "$.sampling.frame_period_s"),
    ],
)
def test_a_wrong_configuration_is_refused_with_its_place(tmp_path: Path, text: str, where: str) -> None:
    path = tmp_path / "device.toml"
    path.write_text(text)
    with pytest.raises(ConfigError, match=where.replace("*", r"\*").replace("$", r"\$")):
        load_config(DeviceConfig, path, {})


def test_the_shipped_example_and_the_environment(tmp_path: Path) -> None:
    example = Path(__file__).parents[4] / "hardware" / "pi" / "device.toml"
    config = load_config(DeviceConfig, example, {"MILEPOST__UPLINK__URL": "tls://example.org:4443"})
    assert config.uplink.url == "tls://example.org:4443"
    assert config.socket_path == Path("/var/lib/milepost/agent.sock")
    assert msgspec.structs.replace(config, socket="/run/m.sock").socket_path == Path("/run/m.sock")


def test_counts_that_do_not_add_up_show() -> None:
    counters = Counters()
    counters.received, counters.sent = 5, 3
    counters.dropped["why"] = 1
    assert not counters.health(0).is_balanced
    assert counters.health(1).is_balanced
