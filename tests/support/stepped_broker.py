"""A TCP relay in front of nats-server through which a pull consumer sees messages stamped by a clock that is wrong."""

import asyncio
import re

from tests.support.relay import Relay

_STAMP = re.compile(rb"(\$JS\.ACK(?:\.[\w-]+){2}(?:\.\d+){3}\.)(\d{19})(?=\.)")
_LONGEST = 200


class SteppedBroker(Relay):
    """Adds `shift_us` to the time of every message that JetStream delivers."""

    def __init__(self, target: int) -> None:
        super().__init__(target)
        self.shift_us = 0

    @property
    def url(self) -> str:
        """Where clients connect."""
        return f"nats://127.0.0.1:{self.port}"

    async def pass_on(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, *, is_up: bool) -> None:
        """Carry one direction; stamps stand in what comes down."""
        held = b""
        while data := await reader.read(65_536):
            held += data
            # A stamp may be cut in two: from where one may have begun the rest waits for what follows.
            begun = -1 if is_up else held.rfind(b"$JS.ACK", max(0, len(held) - _LONGEST))
            cut = begun if begun >= 0 and b" " not in held[begun:] else len(held)
            whole, held = held[:cut], held[cut:]
            writer.write(whole if is_up else _STAMP.sub(self._stamped, whole))
            await writer.drain()

    def _stamped(self, found: re.Match[bytes]) -> bytes:
        return found[1] + b"%019d" % (int(found[2]) + self.shift_us * 1000)
