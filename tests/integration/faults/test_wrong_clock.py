"""The wall clock is wrong by ten years either way: the broker's certificate is judged by what is truly known of UTC."""

import asyncio
from contextlib import closing
from datetime import UTC, datetime
from pathlib import Path

import pytest

from edge.outbox.opening import outbox_path
from edge.outbox.schema import connect_read_only
from edge.uplink.config import UplinkConfig
from edge.uplink.link import NatsLink
from edge.uplink.tls import KnownTime
from sync_protocol import subjects
from sync_protocol.errors import Unavailable
from tests.support.agent_process import AgentProcess, write_recording
from tests.support.authority import Authority
from tests.support.nats_peer import NatsPeer
from tests.support.waiting import wait_until

UP, DOWN = subjects.up("acme", "van-1"), subjects.down("acme", "van-1")
NOW = datetime.now(UTC).year
PAST, FUTURE = NOW - 10, NOW + 10


def passed(year: int) -> KnownTime:
    """Midsummer of that year has surely passed."""
    return KnownTime(round(datetime(year, 6, 21, tzinfo=UTC).timestamp() * 1000), is_certain=False)


def certain(year: int) -> KnownTime:
    """It is midsummer of that year."""
    return KnownTime(passed(year).utc_ms, is_certain=True)


async def connects(broker: NatsPeer, ca_file: Path, known: KnownTime | None) -> None:
    """Connect, and hear from the broker; `Unavailable` when either fails."""
    config = UplinkConfig(url=broker.url.replace("nats://", "tls://"), ca_file=str(ca_file))
    link = await NatsLink.connect(config, UP, DOWN, "van-1", known)
    try:
        await link.check(5)
    finally:
        await link.close()


@pytest.mark.parametrize(
    ("begins", "ends", "known"),
    [
        (FUTURE, FUTURE + 1, passed(NOW)),  # the wall clock is ten years behind, and UTC is a guess
        (FUTURE, FUTURE + 1, certain(FUTURE)),  # GPS has said the truth since
        (PAST, PAST + 1, passed(PAST - 1)),  # the wall clock is ten years ahead
        (PAST, PAST + 1, certain(PAST)),
    ],
)
def test_a_wall_clock_ten_years_off_does_not_keep_the_device_from_its_cloud(
    tmp_path: Path, begins: int, ends: int, known: KnownTime
) -> None:
    authority = Authority(tmp_path)
    with NatsPeer(tmp_path / "nats", extra=authority.nats_tls(begins, ends)) as broker:
        asyncio.run(connects(broker, authority.ca_file, known))
        with pytest.raises(Unavailable, match="certificate"):  # by the wall clock it would have
            asyncio.run(connects(broker, authority.ca_file, None))


@pytest.mark.parametrize(
    ("begins", "ends", "known", "said"),
    [
        (PAST, NOW + 1, certain(FUTURE), "expired"),
        (PAST, NOW + 1, passed(FUTURE), "expired"),
        (NOW - 1, FUTURE, certain(PAST), "not valid before"),
    ],
)
def test_a_certificate_that_is_truly_out_of_date_is_refused(
    tmp_path: Path, begins: int, ends: int, known: KnownTime, said: str
) -> None:
    authority = Authority(tmp_path)
    with NatsPeer(tmp_path / "nats", extra=authority.nats_tls(begins, ends)) as broker:
        asyncio.run(connects(broker, authority.ca_file, None))  # the wall clock has no objection
        with pytest.raises(Unavailable, match=said):
            asyncio.run(connects(broker, authority.ca_file, known))


def test_an_authority_that_has_expired_is_refused(tmp_path: Path) -> None:
    authority = Authority(tmp_path, PAST, FUTURE)
    with NatsPeer(tmp_path / "nats", extra=authority.nats_tls(PAST, FUTURE + 50)) as broker:
        asyncio.run(connects(broker, authority.ca_file, certain(NOW)))
        with pytest.raises(Unavailable, match="authority expired"):
            asyncio.run(connects(broker, authority.ca_file, certain(FUTURE + 1)))


def refusal(broker: NatsPeer, ca_file: Path) -> str:
    """Why the connection was refused, the time being known."""
    with pytest.raises(Unavailable) as refused:
        asyncio.run(connects(broker, ca_file, certain(NOW)))
    return str(refused.value)


def test_only_dates_are_forgiven(tmp_path: Path) -> None:
    authority = Authority(tmp_path)
    (tmp_path / "other").mkdir()
    stranger = Authority(tmp_path / "other")
    with NatsPeer(tmp_path / "nats", extra=authority.nats_tls(PAST, FUTURE)) as broker:
        assert "certificate verify failed" in refusal(broker, stranger.ca_file)
    with NatsPeer(tmp_path / "nats2", extra=authority.nats_tls(PAST, FUTURE, host="127.0.0.2")) as broker:
        assert "IP address mismatch" in refusal(broker, authority.ca_file)


def test_the_last_utc_that_was_certain_is_kept_for_a_start_that_knows_none(tmp_path: Path) -> None:
    recording = tmp_path / "drive.jsonl"
    write_recording(recording, 60, rows_a_second=10)
    with AgentProcess("nats://127.0.0.1:1", recording) as agent:
        agent.start()
        wait_until(lambda: agent.ask("status")["frames"]["committed"] >= 3, 20, "frames")
        assert agent.stop() == 0
        with closing(connect_read_only(outbox_path(agent.folder / "state", "acme", "van-1"))) as db:
            ((kept_ms,),) = db.execute("select value from kv where key = 'utc_ms'").fetchall()
    assert kept_ms >= 1_790_000_000_000  # what the recording's GPS said
