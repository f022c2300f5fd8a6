"""A running service with three devices: a van that has driven and been silent, one that has just begun, one forked."""

import asyncio
from collections.abc import Iterator
from pathlib import Path
import time
from typing import NamedTuple

import httpx
import nats
import pytest

from sync_protocol.messages import Event, Gap, StreamState
from tests.support.caller import api_client
from tests.support.cloud_process import PROMPT, CloudProcess
from tests.support.fleet import FakeDevice
from tests.support.frames import Drive

FRAMES = 90
FRAME_MS = 10_000
VIN = "WVWZZZ1JZXW000001"


class Service(NamedTuple):
    """The process, a client of its API, and when the first sample of `van-01` was."""

    process: CloudProcess
    http: httpx.Client
    start_ms: int
    van: Drive


@pytest.fixture(scope="session")
def service(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Service]:
    folder: Path = tmp_path_factory.mktemp("svc")
    process = CloudProcess(folder / "d", **PROMPT)
    process.start()
    # Two boots of the van: 15 minutes up to half an hour ago, killed, then 15 minutes up to now.
    start_ms = time.time_ns() // 1_000_000 - 45 * 60_000
    van = Drive(1, boot=1, epoch_ms=start_ms - 5_000)
    try:
        asyncio.run(_fill(process.nats_url, van, start_ms))
        with api_client(process.url) as client:
            yield Service(process, client, start_ms, van)
        assert process.stop() == 0
    finally:
        process.kill()


async def _fill(url: str, first: Drive, start_ms: int) -> None:
    client = await nats.connect(url)
    try:
        await _van(client, first, start_ms)
        await _newcomer(client)
        await _forked(client)
    finally:
        await client.close()


async def _van(client: nats.aio.client.Client, first: Drive, start_ms: int) -> None:
    device = await FakeDevice(client, "van-01").listen()
    second = Drive(2, boot=2, epoch_ms=start_ms + 30 * 60_000 - 5_000, stream_id=first.stream_id)
    frames = {seq: first.frame(seq, _events(first, seq)) for seq in range(1, FRAMES + 1)}
    at = second.first_ms(FRAMES + 1)
    second.start_ms -= at - 5_000
    for seq in range(FRAMES + 1, 2 * FRAMES + 1):
        events = [Event(second.first_ms(seq), "agent_started", {"previous_end": "killed"})] if seq == FRAMES + 1 else []
        frames[seq] = second.frame(seq, events)
    del frames[40], frames[41]
    await device.hello(
        StreamState(first.stream_id, True, 2 * FRAMES, held=((1, 39), (42, 180)), gaps=(Gap(40, 40, "disk_full"),))
    )
    for data in frames.values():
        await device.send(data)
    await device.until_acked(first.stream_id, frames)


def _events(drive: Drive, seq: int) -> list[Event]:
    at = drive.first_ms(seq)
    if seq == 1:
        code = {"code": "P0301", "status": "stored", "freeze": {"engine_rpm": 2140.0, "coolant_c": 88, "madness": 1}}
        return [Event(at, "vin_read", {"vin": VIN}), Event(at, "dtc_set", code)]
    if seq == 30:
        return [Event(at, "dtc_set", {"code": "P1234", "status": "pending"})]
    if seq == 60:
        return [Event(at, "dtc_cleared", {"code": "P1234", "status": "pending"})]
    return [Event(at, "harsh_brake", {"peak_ms2": 4.5})] if 10 <= seq < 20 else []


async def _newcomer(client: nats.aio.client.Client) -> None:
    device = await FakeDevice(client, "van-02").listen()
    drive = Drive(3, epoch_ms=time.time_ns() // 1_000_000 - 20_000)
    frames = {1: drive.frame(1)}
    await device.send(frames[1])
    await device.until_acked(drive.stream_id, frames)


async def _forked(client: nats.aio.client.Client) -> None:
    device = await FakeDevice(client, "van-03").listen()
    one = Drive(4, epoch_ms=time.time_ns() // 1_000_000 - 20_000)
    twin = Drive(5, epoch_ms=one.epoch_ms, stream_id=one.stream_id)
    frames = {1: one.frame(1), 2: one.frame(2)}
    for data in frames.values():
        await device.send(data)
    await device.until_acked(one.stream_id, frames)
    await device.send(twin.frame(2))
    await device.until(lambda: 2 in device.forked.get(one.stream_id, set()))
    broken = bytearray(one.frame(3))
    broken[-1] ^= 0xFF
    await device.send(bytes(broken))
    await device.until(lambda: 3 in device.acked[one.stream_id])
