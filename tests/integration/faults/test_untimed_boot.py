"""A boot that never knows the time, from the device's frames to the API: placed between its neighbours, and marked."""

import asyncio
from datetime import UTC, datetime, timedelta
from pathlib import Path
import time
from typing import Any

import nats

from sync_protocol.messages import StreamState
from tests.support.caller import api_client
from tests.support.cloud_process import PROMPT, CloudProcess, eventually
from tests.support.fleet import FakeDevice
from tests.support.frames import Drive

FRAMES = 5
BOOT_S = FRAMES * 10
APART_S = 1_800


def boots(start_ms: int) -> dict[int, bytes]:
    """Frames of three boots of one stream, half an hour apart; the one in the middle has no anchor, ever."""
    frames: dict[int, bytes] = {}
    for n in range(3):
        drive = Drive(7, boot=n + 1, anchor_every=FRAMES if n != 1 else 0, stream_id=b"s" * 16)
        first = n * FRAMES + 1
        drive.start_ms -= drive.first_ms(first) - 5_000  # each boot's clock starts anew
        drive.epoch_ms = start_ms + n * APART_S * 1000 - 5_000
        frames |= {seq: drive.frame(seq) for seq in range(first, first + FRAMES)}
    return frames


async def send(url: str, frames: dict[int, bytes]) -> None:
    """As the device in its third boot: it was offline before, so the cloud has never heard of the second."""
    client = await nats.connect(url)
    device = await FakeDevice(client, "van-1").listen()
    await device.hello(StreamState(b"s" * 16, True, len(frames), held=((1, len(frames)),)), boot=3, boot_ms=60_000)
    for frame in frames.values():
        await device.send(frame)
    await device.until_acked(b"s" * 16, frames)
    await client.close()


def test_a_boot_without_any_time_is_placed_between_its_neighbours_and_marked(tmp_path: Path) -> None:
    begin_ms = time.time_ns() // 1_000_000 - 3 * APART_S * 1000
    begin = datetime.fromtimestamp(begin_ms / 1000, UTC)
    first_end, third = begin + timedelta(seconds=BOOT_S), begin + timedelta(seconds=2 * APART_S)
    cloud = CloudProcess(tmp_path / "cloud", **PROMPT, MILEPOST__INGEST__PLACE_EVERY_S="0.2").start()
    try:
        asyncio.run(send(cloud.nats_url, boots(begin_ms)))
        with api_client(cloud.url) as http:

            def ledger() -> Any:
                return http.get("/api/v1/devices/van-1/ledger").json()

            (placed,) = eventually(lambda: ledger()["placed"], "the boot without a time, placed")
            assert (placed["boot"], placed["stream_id"]) == (2, (b"s" * 16).hex())
            start, end = (datetime.fromisoformat(placed[key]) for key in ("from", "to"))
            assert first_end < start < end < third
            assert end - start == timedelta(seconds=BOOT_S - 1)
            middle = first_end + (third - first_end) / 2
            assert abs(start + (end - start) / 2 - middle) < timedelta(seconds=2), "where the error is smallest"
            assert timedelta(seconds=placed["uncertainty_s"]) >= start - first_end - timedelta(seconds=2)

            vehicle = http.get("/api/v1/vehicles").json()["items"][0]["id"]
            span = {"from": begin.isoformat(), "to": (third + timedelta(hours=1)).isoformat(), "points": "9999"}

            def times() -> list[int]:
                found: list[int] = http.get(f"/api/v1/vehicles/{vehicle}/track", params=span).json()["ts_ms"]
                return found

            there = eventually(lambda: len(found := times()) == 3 * BOOT_S and found, "all three boots in the track")
            inside = [at for at in there if start.timestamp() * 1000 <= at <= end.timestamp() * 1000]
            assert len(inside) == BOOT_S
            assert ledger()["totals"] == {"stored": 3 * FRAMES, "pending": 0, "lost": 0, "quarantined": 0}
        assert cloud.command("verify").exit_code == 0
    finally:
        cloud.kill()
