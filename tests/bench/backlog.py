"""A device comes back with a day of frames while new ones go on: how long that takes, and what the new ones feel.

The device's own outbox, uplink and link class in this process, against the whole cloud service and its broker in
others. The frames are real drives (27 signals at 1 Hz and GPS), played over and over until the day is full. A live
frame is committed each 0.25 s, more than any device does, so that a drain of seconds has a p99. The cloud acknowledges
with each commit here (`ack_delay_s = 0`), so that the device learns at once what is stored: a delay is from a frame's
commit in the outbox until the cloud's word that it is stored has come back. The same follows without a backlog, on the
same connection.
"""

import argparse
import asyncio
from collections.abc import Awaitable, Callable, Mapping, Sequence
from functools import partial
from pathlib import Path
import sys
import tempfile
import time

import numpy as np
import psutil

from edge.clock import SystemClock
from edge.outbox.opening import outbox_path
from edge.outbox.outbox import Effect, Outbox
from edge.outbox.room import Room
from edge.outbox.worker import OutboxWorker
from edge.uplink.config import UplinkConfig
from edge.uplink.link import Link, NatsLink
from edge.uplink.policy import Policy, PolicyConfig
from edge.uplink.traffic import Traffic
from edge.uplink.uplink import Uplink
from sync_protocol import subjects
from sync_protocol.codec import Group, encode
from sync_protocol.messages import AckRange, AnchorSource, Meta, SeqRange, StreamAnswer, StreamState, TimeAnchor
from tests.bench.report import Figure, report
from tests.bench.wire import drive
from tests.support.cloud_process import CloudProcess
from tests.support.edge_fakes import IDENTITY
from tests.support.real_data import data_dir

TENANT, DEVICE = "demo", "van-1"
_FRAME_S = 10
_LIVE_EVERY_S = 0.25
_ANCHOR_EVERY_FRAMES = 60
_PATIENCE_S = 300.0
_DAY_S = 86_400


class YoungClock:
    """Device time of a machine that has been up for two days, wherever this runs."""

    def __init__(self) -> None:
        self._ahead_ms = 2 * 1000 * _DAY_S - SystemClock().boot_ms()

    def boot_ms(self) -> int:
        return SystemClock().boot_ms() + self._ahead_ms


class Van:
    """What the hello says of the vehicle, and who would obey commands."""

    def __init__(self, clock: YoungClock) -> None:
        self._offset_ms = time.time_ns() // 1_000_000 - clock.boot_ms()

    def anchor(self, boot_ms: int) -> TimeAnchor:
        return TimeAnchor(boot_ms, boot_ms + self._offset_ms, "gps", 50)

    def utc(self, boot_ms: int) -> tuple[int | None, AnchorSource | None]:
        return boot_ms + self._offset_ms, "gps"

    def cloud_time(self, boot_ms: int, utc_ms: int, uncertainty_ms: int) -> None: ...

    def watch(self, lease_s: float) -> None: ...


class TimedOutbox(OutboxWorker):
    """Notes when the cloud's word on a frame has come."""

    waiting: dict[int, float]
    delays_s: list[float]

    async def ack(self, stream_id: bytes, ranges: Sequence[AckRange]) -> list[SeqRange]:
        ours = await super().ack(stream_id, ranges)
        self._note()
        return ours

    async def answer(
        self,
        asked: Sequence[StreamState],
        answers: Sequence[StreamAnswer],
        proven: Mapping[bytes, Sequence[SeqRange]],
    ) -> Effect:
        effect = await super().answer(asked, answers, proven)
        self._note()
        return effect

    def _note(self) -> None:
        now, pending = time.perf_counter(), self._outbox.active.pending
        for seq in [seq for seq in self.waiting if seq not in pending]:
            self.delays_s.append(now - self.waiting.pop(seq))


def made(
    frames: Sequence[Sequence[Group]], number: int, begin_ms: int, van: Van, *, compress: bool
) -> Callable[..., bytes]:
    """Makes a frame of a drive, moved to `begin_ms`, with an anchor each ten minutes."""
    groups = frames[number % len(frames)]
    moved = [g._replace(times_ms=g.times_ms - groups[0].times_ms[0] + begin_ms) for g in groups]
    anchors = (van.anchor(begin_ms),) if number % _ANCHOR_EVERY_FRAMES == 0 else ()
    return partial(_encode, moved, Meta(anchors=anchors), compress)


def _encode(groups: Sequence[Group], meta: Meta, compress: bool, stream_id: bytes, seq: int, boot: int) -> bytes:
    return encode(stream_id, seq, boot, groups, meta, compress=compress)


def fill(path: Path, frames: Sequence[Sequence[Group]], count: int, van: Van, end_ms: int, *, compress: bool) -> None:
    """An outbox with so many frames that nobody has."""
    outbox = Outbox(path, IDENTITY, Room(size_bytes=64 << 20, ballast_bytes=0))
    for number in range(count):
        begin_ms = end_ms - (count - number) * 1000 * _FRAME_S
        outbox.append(made(frames, number, begin_ms, van, compress=compress))
    outbox.close()


class Run:
    """One device at work. `live` commits frames until it is cancelled."""

    def __init__(self, outbox: TimedOutbox, uplink: Uplink, policy: Policy, clock: YoungClock, van: Van) -> None:
        self.outbox = outbox
        self.uplink = uplink
        self.policy = policy
        self._clock = clock
        self._van = van

    async def live(self, frames: Sequence[Sequence[Group]]) -> None:
        number, began = 0, time.perf_counter()
        while True:
            number += 1
            await asyncio.sleep(max(0.0, began + number * _LIVE_EVERY_S - time.perf_counter()))
            at_ms = self._clock.boot_ms()
            _, seq = await self.outbox.append(made(frames, number, at_ms, self._van, compress=True), {})
            self.outbox.waiting[seq] = time.perf_counter()
            self.uplink.notify()

    async def until_gone(self, last: int) -> float:
        """Seconds until the cloud has everything up to this number."""
        began = time.perf_counter()
        async with asyncio.timeout(_PATIENCE_S):
            while any(first <= last for first, _ in self.outbox._outbox.active.pending):
                await asyncio.sleep(0.01)
        return time.perf_counter() - began

    def taken_ms(self) -> np.ndarray:  # type: ignore[type-arg]  # of floats
        """Delays of the live frames so far; the next begin anew."""
        taken, self.outbox.delays_s = np.array(self.outbox.delays_s) * 1000, []
        return taken


def percentile(delays_ms: np.ndarray, share: float) -> float:  # type: ignore[type-arg]  # of floats
    """Of the delays; nan where there are none, as on a metered link whose live frames still wait for each other."""
    return float(np.percentile(delays_ms, share)) if len(delays_ms) else float("nan")


def cpu_of_cloud() -> float:
    """Seconds of CPU that the service and its broker have had, this process's children."""
    return sum(sum(process.cpu_times()[:2]) for process in psutil.Process().children(recursive=True))


async def measure(cloud: CloudProcess, folder: Path, root: Path, count: int, mode: str, calm_s: float) -> list[Figure]:
    """Drain, then the same without a backlog."""
    frames = drive(root, _FRAME_S, 3600)
    clock = YoungClock()
    van = Van(clock)
    path = outbox_path(folder, TENANT, DEVICE)
    fill(path, frames, count, van, clock.boot_ms(), compress=mode == "normal")
    config = UplinkConfig(url=cloud.nats_url, policy=PolicyConfig(mode=mode))  # type: ignore[arg-type]  # a word of it
    policy = Policy(config.policy, Traffic(1))

    async def connect() -> Link:
        return await NatsLink.connect(config, subjects.up(TENANT, DEVICE), subjects.down(TENANT, DEVICE), DEVICE)

    connecting: Callable[[], Awaitable[Link]] = connect
    outbox = await TimedOutbox.open(path, IDENTITY, Room(size_bytes=64 << 20, ballast_bytes=0))
    assert isinstance(outbox, TimedOutbox)
    outbox.waiting, outbox.delays_s = {}, []
    uplink = Uplink(config, clock, outbox, van, connecting, version="0", boot=outbox._outbox.boot, policy=policy)
    run = Run(outbox, uplink, policy, clock, van)
    tasks = [asyncio.create_task(uplink.run()), asyncio.create_task(run.live(frames))]
    cpu_s, cloud_cpu_s = time.process_time(), cpu_of_cloud()
    drain_s = await run.until_gone(count)
    cpu_s, cloud_cpu_s = time.process_time() - cpu_s, cpu_of_cloud() - cloud_cpu_s
    backlog = policy.view().connection.get("backlog")
    busy = run.taken_ms()
    await run.until_gone(outbox._outbox.active.last_seq)
    run.taken_ms()
    await asyncio.sleep(calm_s)
    calm = run.taken_ms()
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)
    await outbox.close()
    payload = backlog.up / count if backlog else 0.0
    return [
        Figure("drain_s", drain_s, "s", "10", f"{count:,} frames of 10 s; {count / drain_s:,.0f} frames/s"),
        Figure("live_delay_p50_ms", percentile(busy, 50), "ms", "", f"{len(busy)} frames"),
        Figure("live_delay_p99_ms", percentile(busy, 99), "ms", "", "while the backlog drains"),
        Figure("  without, p50", percentile(calm, 50), "ms", "", f"{len(calm)} frames, no backlog"),
        Figure("  without, p99", percentile(calm, 99), "ms"),
        Figure("device_cpu_s", cpu_s, "s", "", "of the drain: outbox, uplink, and this bench's live frames"),
        Figure("cloud_cpu_s", cloud_cpu_s, "s", "", "meanwhile: the whole service and its broker"),
        Figure("payload_bytes", payload, "B/frame", "", "of the backlog's messages"),
        Figure("again", float(uplink.state().frames_sent_again), "frames", "0", "sent more than once"),
    ]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--hours", type=float, default=24.0)
    parser.add_argument("--mode", choices=["normal", "metered"], default="normal")
    parser.add_argument("--calm-s", type=float, default=20.0, help="seconds without a backlog")
    arguments = parser.parse_args()
    root = data_dir()
    if root is None:
        sys.exit("no real recordings: set MILEPOST_DATA")
    count = round(arguments.hours * 3600 / _FRAME_S)
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        cloud = CloudProcess(folder / "cloud", MILEPOST__INGEST__ACK_DELAY_S="0").start()
        try:
            figures = asyncio.run(measure(cloud, folder, root, count, arguments.mode, arguments.calm_s))
        finally:
            cloud.stop()
    report("backlog", figures, {"frames": count, "mode": arguments.mode})


if __name__ == "__main__":
    main()
