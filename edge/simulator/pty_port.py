"""The adapter's serial port: a pseudo-terminal with a name of its own choosing."""

import asyncio
from collections.abc import Callable
import contextlib
import os
from pathlib import Path
import tty

from edge.simulator.elm327 import Elm327, Reply


class PtyPort:
    """Feeds an Elm327 from a pty at symlink `link`. Silent, it swallows what comes, like an adapter that hangs."""

    def __init__(self, elm: Elm327, link: Path, advance: Callable[[], None]) -> None:
        self.link = link
        self.is_silent = False
        self.requests = 0
        self._elm = elm
        self._advance = advance  # brings the vehicle to this moment
        self._master = self._slave = -1
        self._typed = b""
        self._waiting: asyncio.TimerHandle | None = None
        self._is_stoppable = False

    def open(self) -> None:
        """Plug the adapter in. The slave stays open here, so that a client may come and go."""
        self._master, self._slave = os.openpty()
        tty.setraw(self._slave)
        os.set_blocking(self._master, False)
        self.link.parent.mkdir(parents=True, exist_ok=True)
        fresh = self.link.with_name(self.link.name + ".new")
        fresh.unlink(missing_ok=True)
        fresh.symlink_to(os.ttyname(self._slave))
        fresh.replace(self.link)
        asyncio.get_running_loop().add_reader(self._master, self._readable)

    def close(self) -> None:
        """Pull the adapter out: clients see a hang-up, the name is gone."""
        if self._master < 0:
            return
        asyncio.get_running_loop().remove_reader(self._master)
        self._forget_answer()
        self._typed = b""
        self.link.unlink(missing_ok=True)
        os.close(self._slave)
        os.close(self._master)
        self._master = self._slave = -1

    @property
    def is_open(self) -> bool:
        """Whether the adapter is plugged in."""
        return self._master >= 0

    def _readable(self) -> None:
        with contextlib.suppress(BlockingIOError):
            arrived = os.read(self._master, 4096)
            if self.is_silent:
                return
            if self._waiting is not None and self._is_stoppable:
                self._forget_answer()  # the byte that stops a request is not kept
                self._write(self._elm.stopped())
                return
            self._typed += arrived.replace(b"\x00", b"")
            self._next_line()

    def _next_line(self) -> None:
        while self._waiting is None and b"\r" in self._typed:
            line, self._typed = self._typed.split(b"\r", 1)
            if self._elm.has_echo:
                self._write(line.decode("latin-1") + self._elm.line_end)
            self._advance()
            self.requests += 1
            reply = self._elm.respond(line.decode("latin-1"))
            if reply.delay_s <= 0:
                self._write(reply.text)
                continue
            self._is_stoppable = reply.is_stoppable
            self._waiting = asyncio.get_running_loop().call_later(reply.delay_s, self._deliver, reply)

    def _deliver(self, reply: Reply) -> None:
        self._waiting = None
        if not self.is_silent:
            self._write(reply.text)
        self._next_line()

    def _forget_answer(self) -> None:
        if self._waiting is not None:
            self._waiting.cancel()
            self._waiting = None

    def _write(self, text: str) -> None:
        with contextlib.suppress(BlockingIOError):  # nobody reads: a serial line drops, too
            os.write(self._master, text.encode("latin-1"))
