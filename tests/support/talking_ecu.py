"""Computers that answer the diagnostic services by the book, and a vehicle of them behind an adapter."""

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field

from edge.sensors.obd.elm import Elm
from edge.sensors.obd.memory import Memory
from edge.sensors.obd.port import Port
from edge.sensors.obd.vehicle import Vehicle
from tests.support.elm_fakes import VIN, FakeEcu, FakeElm, engine


@dataclass
class TalkingEcu(FakeEcu):
    """Answers some requests by the book: request to answer, both in hexadecimal."""

    book: dict[str, str] = field(default_factory=dict)
    clears_with: str = "44"

    def answer(self, request: bytes) -> bytes | None:
        if request == b"\x04":
            if self.clears_with == "44":
                self.dtcs = {service: codes for service, codes in self.dtcs.items() if service == 0x0A}
            return bytes.fromhex(self.clears_with)
        found = self.book.get(request.hex().upper())
        return bytes.fromhex(found) if found is not None else super().answer(request)


def motor(**dtcs: list[str]) -> TalkingEcu:
    """A petrol engine with its ignition on, not running, with a freeze frame of P0301."""
    made = engine(**dtcs)
    pids = made.pids | {0x01: bytes.fromhex("8107E504"), 0x0C: bytes(2), 0x0D: bytes(1), 0x21: b"\x00\x25"}
    book = {
        "020200": "4202000301",
        "020000": "42 00 00 78 18 00 01",
        "022000": "42 20 00 00 00 20 00",
        "020300": "42 03 00 02 00",
        "020400": "42 04 00 80",
        "020500": "42 05 00 7B",
        "020C00": "42 0C 00 1A F8",
        "020D00": "42 0D 00 32",
        "023300": "42 33 00 64",
        "020300040005 00".replace(" ", ""): "42 03 00 02 00 04 00 80 05 00 7B",
        "020C000D003300": "42 0C 00 1A F8 0D 00 32 33 00 64",
        "0900": "49 00 55 40 00 00",
        "0904": "49 04 01" + b"30D54000".ljust(16, b"\0").hex(),
        "0906": "49 06 01 99 B6 DD 10",
        "0908": "49 08 14" + "".join(f"{n:04X}" for n in range(20)),
        "090A": "49 0A 01" + b"ECM\0-EngineControl".ljust(20, b"\0").hex(),
    }
    return TalkingEcu(pids, made.dtcs, VIN, book)


def gearbox(**dtcs: list[str]) -> TalkingEcu:
    """It has no freeze frame, and a name of its own."""
    made = engine(**dtcs)
    book = {"020200": "4202000000", "0900": "49 00 10 00 00 00", "0904": "49 04 01" + b"TCU".ljust(16, b"\0").hex()}
    return TalkingEcu({0x01: bytes.fromhex("00040000")}, made.dtcs, None, book)


def with_vehicle(fake: FakeElm, test: Callable[[Vehicle], Awaitable[None]]) -> None:
    async def body() -> None:
        async with asyncio.timeout(30):
            port = await Port.open(str(fake.link), 38_400, 1.0)
            try:
                vehicle = await Vehicle.find(await Elm.start(port, 1.0, 2.0), Memory(), may_search=True)
                await vehicle.learn_batching()
                await test(vehicle)
            finally:
                await port.close()

    asyncio.run(body())
