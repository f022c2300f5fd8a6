"""A receiver that dies under a real gpsd: its last position is not served on."""

import asyncio
import time

import pytest

from edge.sensors.gps import GpsConfig, GpsSensor
from edge.sensors.gps_report import GPS_IDS
from tests.support.elm_fakes import CollectingSink, boot_ms
from tests.support.gpsd_peer import Gpsd, gpsd
from tests.support.nmea import circle, epoch
from tests.support.sensor_runs import running, until


async def drive(peer: Gpsd, sink: CollectingSink, rows: int) -> None:
    """Feed five epochs a second until so many more rows have come."""
    wanted, began_s = len(sink.rows) + rows, time.time()
    async with asyncio.timeout(15):
        number = 0
        while len(sink.rows) < wanted:
            peer.feed(epoch(began_s + number * 0.2, *circle(number * 0.2)))
            number += 1
            await asyncio.sleep(0.2)


@pytest.mark.peer
def test_the_last_fix_of_a_dead_receiver_is_marked_stale_and_gives_no_more_positions() -> None:
    async def scene() -> None:
        with gpsd() as peer:
            sensor = GpsSensor(GpsConfig(port=peer.port, stale_s=2.0), boot_ms)
            async with running(sensor) as sink:
                await drive(peer, sink, 5)
                assert sensor.state().link == "open"
                died_s, before = time.monotonic(), len(sink.rows)
                await until(lambda: sink.marks, 10)  # nothing comes from the receiver; gpsd itself is well
                assert time.monotonic() - died_s < 5
                assert {(ids, kind) for ids, _, kind in sink.marks} == {(GPS_IDS, "stale")}
                assert sensor.state().link == "opening"
                assert len(sink.rows) <= before + 1, "at most the fix that was on its way"
                await drive(peer, sink, 3)
                assert sensor.state().link == "open"

    asyncio.run(scene())
