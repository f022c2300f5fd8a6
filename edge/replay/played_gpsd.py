"""A connection to gpsd that plays a recording."""

import asyncio

from edge.replay.script import Script, for_ever

_IN_TIME = 0.999


class PlayedStream:
    """As `edge.sensors.gps_stream.TcpStream`. The sensor's patience ends where it ended in the recording."""

    def __init__(self, script: Script, patience_s: float) -> None:
        self._script = script
        self._patience_s = patience_s

    @classmethod
    async def open(cls, script: Script, patience_s: float) -> "PlayedStream":
        """Connect as it was connected. OSError as then."""
        if not script.is_next("open", "refused", "silent") and script.head is not None:
            script.differs("open")
            script.skip_to(lambda line: line.dir in ("open", "refused"))
        if script.head is None:
            await for_ever()
        if script.is_next("silent"):
            await _until_given_up(script)
        line = await script.take_in_time(_in_time_ms(script, patience_s))
        if line.dir == "refused":
            raise OSError(line.note)
        return cls(script, patience_s)

    async def readline(self) -> bytes:
        """See `GpsdStream`."""
        if self._script.head is None:
            await for_ever()
        if self._script.is_next("silent"):
            await _until_given_up(self._script)
        if not self._script.is_next("rx", "lost"):
            self._script.differs("read")
            if not self._script.skip_to(lambda line: line.dir in ("rx", "lost", "close")):
                await for_ever()
            if self._script.is_next("close"):
                return b""
        line = await self._script.take_in_time(_in_time_ms(self._script, self._patience_s))
        if line.dir == "lost":
            kind, _, text = line.note.partition(": ")
            raise (ValueError if kind == "value" else OSError)(text)
        return line.content

    def write(self, data: bytes) -> None:
        """See `GpsdStream`."""
        head = self._script.head
        if head is not None and head.dir == "tx" and head.content == data:
            self._script.take()
        elif head is not None:
            self._script.differs(f"tx {data.decode('latin-1')!r}")

    def close(self) -> None:
        """See `GpsdStream`."""
        if self._script.is_next("close"):
            self._script.take()


def _in_time_ms(script: Script, patience_s: float) -> float:
    """What came in time comes in time: a sensor that works in no time starts its own patience a little sooner."""
    assert script.head is not None
    return min(script.head.t, (asyncio.get_running_loop().time() + patience_s * _IN_TIME) * 1000)


async def _until_given_up(script: Script) -> None:
    try:
        await for_ever()
    except asyncio.CancelledError:
        script.take()
        raise
