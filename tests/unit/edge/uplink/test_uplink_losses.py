"""The uplink when links, acknowledgements, answers, frames or the cloud's own store are lost."""

import asyncio

from edge.uplink.config import UplinkConfig
from sync_protocol.errors import Unavailable
from tests.support.edge_fakes import frame_maker
from tests.support.uplink_bench import Bench, running
from tests.support.waiting import until


def test_a_lost_link_is_replaced_and_every_connection_begins_with_a_hello() -> None:
    async def scene() -> None:
        async with running() as bench:
            await bench.commit(2)
            await until(bench.all_acknowledged, 5, "acknowledgements")
            for number in range(1, 6):
                bench.refusals.append(Unavailable("nobody there"))
                bench.links[-1].cut()
                await until(lambda n=number: len(bench.cloud.hellos) == n + 1, 5, "the next hello")
            await bench.commit(2)
            await until(bench.all_acknowledged, 5, "acknowledgements")
            assert len(bench.links) == len(bench.cloud.hellos) == 6
            assert all(link.is_closed for link in bench.links[:-1])

    asyncio.run(scene())


def test_frames_that_vanished_with_a_link_are_sent_again_after_the_hello_of_the_next() -> None:
    async def scene() -> None:
        async with running() as bench:
            await until(lambda: bool(bench.vehicle.told), 5, "the first answer")
            bench.links[0].loses = True
            await bench.commit(5)
            await bench.on_the_way(5)
            bench.links[0].cut()
            await until(bench.all_acknowledged, 5, "acknowledgements")
            assert bench.cloud.duplicates == 0
            assert bench.uplink.state().frames_sent_again == 5

    asyncio.run(scene())


def test_lost_acknowledgements_are_made_up_for_by_the_answer_to_a_hello() -> None:
    async def scene() -> None:
        async with running() as bench:
            await until(lambda: bool(bench.vehicle.told), 5, "the first answer")
            bench.cloud.acks = False
            await bench.commit(5)
            await bench.on_the_way(5)
            bench.links[0].cut()
            await until(bench.all_acknowledged, 5, "acknowledgements")
            assert bench.cloud.received == 5, "nothing was sent twice"

    asyncio.run(scene())


def test_the_cloud_is_asked_when_acknowledgements_stay_away() -> None:
    config = UplinkConfig(retry_s=0.01, ack_timeout_s=500, hello_wait_s=0.1)

    async def scene() -> None:
        async with running(config) as bench:
            await until(lambda: bool(bench.vehicle.told), 5, "the first answer")
            bench.cloud.acks = False
            await bench.commit(1)
            await bench.on_the_way(1)
            await bench.pass_s(74)
            assert len(bench.cloud.hellos) == 1
            await bench.pass_s(2)
            await until(bench.all_acknowledged, 5, "acknowledgements")
            assert len(bench.cloud.hellos) == 2

    asyncio.run(scene())


def test_an_absent_cloud_is_not_asked_more_often() -> None:
    config = UplinkConfig(retry_s=0.01, ack_timeout_s=500, hello_wait_s=0.1, window_frames=64)

    async def scene() -> None:
        async with running(config) as bench:
            await until(lambda: bool(bench.vehicle.told), 5, "the first answer")
            bench.cloud.acks = bench.cloud.answers = False
            await bench.commit(20)
            await bench.on_the_way(20)
            await bench.pass_s(76)
            await until(lambda: len(bench.cloud.hellos) == 2, 5, "the second hello")
            await bench.pass_s(70)
            await bench.commit(1)
            await bench.on_the_way(21)
            assert len(bench.cloud.hellos) == 2
            await bench.pass_s(6)
            await until(lambda: len(bench.cloud.hellos) == 3, 5, "the third hello")

    asyncio.run(scene())


def test_who_stops_asks_once_what_has_arrived() -> None:
    async def scene() -> None:
        async with running() as bench:
            await until(lambda: bool(bench.vehicle.told), 5, "the first answer")
            bench.cloud.acks = False
            await bench.commit(3)
            bench.uplink.ask()
            await until(bench.all_acknowledged, 5, "acknowledgements")
            assert len(bench.cloud.hellos) == 2
            assert bench.cloud.received == 3

    asyncio.run(scene())


def test_a_half_open_link_is_found_out_and_replaced() -> None:
    async def scene() -> None:
        async with running() as bench:
            await until(lambda: bool(bench.vehicle.told), 5, "the first answer")
            bench.links[0].loses = bench.links[0].is_dead = True
            await bench.commit(1)
            await bench.on_the_way(1)
            await bench.pass_s(21)
            await until(bench.all_acknowledged, 5, "acknowledgements")
            assert len(bench.links) == 2

    asyncio.run(scene())


def test_only_a_quiet_link_is_asked_for_a_sign_of_life() -> None:
    async def scene() -> None:
        async with running() as bench:
            for _ in range(5):
                await bench.commit(1)
                await until(bench.all_acknowledged, 5, "acknowledgements")
                await bench.pass_s(100)
            (link,) = bench.links
            assert link.checks == 0, "what is sent is sign enough"
            await bench.pass_s(21)
            await until(lambda: link.checks == 1, 5, "a question")
            link.is_dead = True
            await bench.pass_s(121)
            await until(lambda: len(bench.links) == 2, 5, "another link")

    asyncio.run(scene())


def test_frames_flow_even_when_nobody_answers_the_hello() -> None:
    async def before(bench: Bench) -> None:
        bench.cloud.answers = False
        await bench.commit(2)

    async def scene() -> None:
        async with running(before=before) as bench:
            await until(bench.all_acknowledged, 5, "acknowledgements")

    asyncio.run(scene())


def test_a_restored_cloud_gets_what_it_lacks() -> None:
    async def scene() -> None:
        async with running() as bench:
            await bench.commit(9)
            await until(bench.all_acknowledged, 5, "acknowledgements")
            bench.cloud.restore(lambda key: key[1] <= 4)
            bench.links[-1].cut()
            await until(lambda: bool(bench.changes), 5, "the answer")
            await until(bench.all_acknowledged, 5, "acknowledgements")
            assert sorted(seq for _, seq in bench.cloud.frames) == list(range(1, 10))
            assert [change.again for change in bench.changes] == [5]

    asyncio.run(scene())


def test_another_copy_of_this_outbox_is_noticed_and_nothing_is_taken_for_stored() -> None:
    """The cloud has numbers 1 to 9 from a clone of this card; ours under these numbers are other frames."""
    clone: dict[tuple[bytes, int], bytes] = {}

    async def before(bench: Bench) -> None:
        await bench.commit(6)
        stream_id = (await bench.outbox.hello_streams())[0].stream_id
        for seq in range(1, 10):
            bench.cloud.receive(frame_maker(80)(stream_id, seq, 1))
        clone.update(bench.cloud.frames)
        bench.cloud.received = 0

    async def scene() -> None:
        async with running(before=before) as bench:
            await until(bench.all_acknowledged, 5, "the verdict on every frame")
            totals = await bench.outbox.totals()
            assert (totals.forked, totals.acked) == (6, 6), "what they hold has gone again, in a new stream"
            assert all(bench.cloud.frames[key] == body for key, body in clone.items())
            streams = await bench.outbox.hello_streams()
            assert len(streams) >= 2
            await bench.commit(2)
            await until(bench.all_acknowledged, 5, "acknowledgements")
            assert (await bench.outbox.totals()).acked == 8
            assert bench.uplink.health().dropped == {"forked": 6}

    asyncio.run(scene())


def test_an_evicted_frame_is_no_longer_waited_for() -> None:
    async def scene() -> None:
        async with running() as bench:
            await until(lambda: bool(bench.vehicle.told), 5, "the first answer")
            bench.links[0].loses = True
            await bench.commit(3)
            await bench.on_the_way(3)
            for _ in range(60):
                await bench.outbox.append(frame_maker(9000, has_event=True), {})
            bench.links[0].cut()
            await until(bench.all_acknowledged, 10, "acknowledgements")
            assert bench.uplink.health().dropped.get("evicted", 0) >= 3

    asyncio.run(scene())
