"""An adapter's port that plays a recording: the same bytes at the same times, as long as the same is asked."""

import asyncio
from typing import cast

from edge.replay.script import Script, for_ever
from edge.sensors.obd.errors import AdapterLost, AdapterSilent
from edge.sensors.obd.port import Port

_ANSWER_AFTER_S = 0.05
_NO_DATA = b"NO DATA\r\r>"
_OK = b"OK\r\r>"


class PlayedPort:
    """As `edge.sensors.obd.port.Port`. Deadlines pass where they passed in the recording, not by the clock."""

    def __init__(self, script: Script) -> None:
        self._script = script
        self._buffer = bytearray()
        self._lost: str | None = None
        self._is_improvised = False  # the last request was answered from elsewhere in the recording

    @classmethod
    async def open(cls, script: Script) -> Port:
        """Open as it was opened. `AdapterLost` as then."""
        while script.is_next("rx", "silent", "lost", "close"):
            script.take()  # said to nobody
        if not script.is_next("open", "refused") and script.head is not None:
            script.differs("open")
            script.skip_to(lambda line: line.dir in ("open", "refused"))
        if not script.is_next("open", "refused"):
            await for_ever()
        line = await script.take_in_time()
        if line.dir == "refused":
            raise AdapterLost(line.note)
        return cast(Port, cls(script))

    async def close(self) -> None:
        """See `Port`."""
        if self._script.is_next("close"):
            self._script.take()

    def discard(self) -> int:
        """See `Port`."""
        while self._script.is_next("rx"):
            self._buffer += self._script.take().content
        size = len(self._buffer)
        self._buffer.clear()
        return size

    @property
    def unread(self) -> bytes:
        """See `Port`."""
        return bytes(self._buffer)

    async def write(self, data: bytes, until: float) -> None:
        """See `Port`."""
        self._is_improvised = False
        while data:
            while self._script.is_next("rx"):
                self._buffer += self._script.take().content
            self._check()
            head = self._script.head
            if head is None:
                await for_ever()
            elif head.dir == "lost":
                self._lose()
            elif head.dir == "silent" and head.note == "the adapter takes no bytes":
                raise AdapterSilent((await self._script.take_in_time()).note)
            elif head.dir == "tx" and head.data and data.startswith(head.content):
                data = data[len((await self._script.take_in_time()).content) :]
            else:
                self._script.differs(f"tx {data.decode('latin-1')!r}")
                self._improvise(data)
                return

    def _improvise(self, data: bytes) -> None:
        if self._script.skip_to(lambda line: line.dir == "tx" and line.content == data):
            self._script.take()
            return
        answer = self._script.answer_to(data)
        if answer is None:
            answer = data + (_OK if data.upper().startswith(b"AT") else _NO_DATA)
        self._buffer += answer
        self._is_improvised = True

    async def read_until(self, end: bytes, until: float) -> bytes:
        """See `Port`."""
        if self._is_improvised:
            await asyncio.sleep(_ANSWER_AFTER_S)
        while True:
            found = self._buffer.find(end)
            if found >= 0:
                text = bytes(self._buffer[:found])
                del self._buffer[: found + len(end)]
                return text
            self._check()
            if self._script.head is None:
                await for_ever()
            elif self._script.is_next("rx"):
                self._buffer += (await self._script.take_in_time()).content
            elif self._script.is_next("silent"):
                line = await self._script.take_in_time()
                if "chatters" in line.note:
                    self._buffer.clear()
                raise AdapterSilent(line.note)
            elif self._script.is_next("lost"):
                await asyncio.sleep(0)
                self._lose()
            else:
                self._script.differs("read")
                await asyncio.sleep(max(0.0, until - asyncio.get_running_loop().time()))
                raise AdapterSilent("no prompt within the deadline")

    def _lose(self) -> None:
        self._lost = self._script.take().note
        self._check()

    def _check(self) -> None:
        if self._lost is not None:
            raise AdapterLost(self._lost)
