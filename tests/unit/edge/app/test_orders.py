"""Which commands an enrolled device obeys: signed by a pinned key, for itself, each once, whatever happened between."""

import asyncio
from pathlib import Path

import msgspec
import pytest

from cloud.enrolment.commands import SignedCommands
from cloud.enrolment.keys import Key
from edge.orders import SignedOrders
from edge.outbox.opening import Identity
from edge.outbox.room import Room
from edge.outbox.worker import OutboxWorker
from sync_protocol.errors import ConfigError, Invalid
from sync_protocol.messages import Ack, Command, command_to_sign, decode_down, encode_down

FIRST, SPARE = Key.make("A"), Key.make("A")
KEYS = (FIRST.public_bytes.hex(), SPARE.public_bytes.hex())
WATCH = Command(5, "watch", 2**41, {"lease_s": 60})


async def ignored(_subject: str, _data: bytes) -> None: ...


def signer(now_ms: int = 1000, key: Key = FIRST) -> SignedCommands:
    return SignedCommands(key, ignored, lambda: now_ms)


async def opened(folder: Path) -> OutboxWorker:
    identity = Identity("acme", "van-1", "machine", "boot")
    return await OutboxWorker.open(folder / "outbox.db", identity, Room(1 << 20, 0))


def test_what_is_obeyed_and_what_is_not(tmp_path: Path) -> None:
    async def work() -> None:
        outbox = await opened(tmp_path)
        orders = SignedOrders("acme", "van-1", KEYS, outbox)
        sign = signer()
        good = sign.sign("d.acme.van-1", WATCH)
        spare = msgspec.structs.replace(WATCH, number=1001, key_id=2)
        spare = msgspec.structs.replace(spare, signature=SPARE.sign(command_to_sign(spare, "acme", "van-1")))
        for wrong, reason in (
            (WATCH, "unsigned"),
            (msgspec.structs.replace(good, key_id=3), "unsigned"),
            (msgspec.structs.replace(good, key_id=2), "forged"),
            (msgspec.structs.replace(good, number=9999), "forged"),
            (msgspec.structs.replace(good, kind="reboot"), "forged"),
            (msgspec.structs.replace(good, expires_utc_ms=2**42), "forged"),
            (msgspec.structs.replace(good, args={"lease_s": 6000}), "forged"),
            (msgspec.structs.replace(good, signature=b""), "forged"),
            (sign.sign("d.acme.van-2", WATCH), "forged"),
            (sign.sign("d.other.van-1", WATCH), "forged"),
            (signer(key=Key.make("A")).sign("d.acme.van-1", WATCH), "forged"),
        ):
            assert await orders.refusal(wrong) == reason
        over_the_wire = decode_down(encode_down(good))
        assert isinstance(over_the_wire, Command)
        assert await orders.refusal(over_the_wire) is None
        assert await orders.refusal(good) == "repeated"
        assert await orders.refusal(spare) is None, "the spare key, after the first"
        await outbox.close()

        again = await opened(tmp_path)
        after = SignedOrders("acme", "van-1", KEYS, again)
        assert await after.refusal(good) == "repeated", "also after a restart"
        assert await after.refusal(spare) == "repeated"
        assert await after.refusal(signer(2000).sign("d.acme.van-1", WATCH)) is None
        await again.close()

    asyncio.run(work())


def test_each_sending_has_a_number_of_its_own_and_keeps_the_senders() -> None:
    sign = signer(1000)
    one, two = (sign.sign("d.acme.van-1", WATCH) for _ in range(2))
    assert (one.number, two.number) == (1000, 1001)
    assert one.args == two.args == {"number": 5, "lease_s": 60}
    with pytest.raises(Invalid):
        sign.sign("f.acme.van-1", WATCH)


def test_only_commands_are_touched() -> None:
    sent: list[tuple[str, bytes]] = []

    async def publish(subject: str, data: bytes) -> None:
        sent.append((subject, data))

    ack = encode_down(Ack(b"s" * 16, ((1, 2, 3),)))
    seal = SignedCommands(FIRST, publish, lambda: 1000)
    asyncio.run(seal.publish("d.acme.van-1", ack))
    asyncio.run(seal.publish("d.acme.van-1", encode_down(WATCH)))
    assert sent[0] == ("d.acme.van-1", ack)
    command = decode_down(sent[1][1])
    assert isinstance(command, Command)
    assert command.key_id == 1


def test_keys_that_are_none(tmp_path: Path) -> None:
    async def work() -> None:
        outbox = await opened(tmp_path)
        with pytest.raises(ConfigError, match="keys of commands"):
            SignedOrders("acme", "van-1", ("xy",), outbox)
        await outbox.close()

    asyncio.run(work())
