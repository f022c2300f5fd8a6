"""What one connection did in a recording, line by line, as a script for the same connection played again."""

import asyncio
from collections import deque
from collections.abc import Callable, Sequence

from edge.sensors.recording import BusLine, Direction, GpsLine, WireLine
from sync_protocol.errors import Rejected

_MOST_DIFFERENCES = 100
_WITHIN_LINES = 200


class Diverged(Rejected):
    """The software does something else than it did when the recording was made."""


class Differences:
    """What differs from the recording. With `is_strict` the first one ends the replay."""

    def __init__(self, *, is_strict: bool) -> None:
        self._is_strict = is_strict
        self.texts: list[str] = []
        self.count = 0

    def note(self, text: str) -> None:
        """One more. `Diverged` when that is not allowed."""
        if self._is_strict:
            raise Diverged(text)
        self.count += 1
        if len(self.texts) < _MOST_DIFFERENCES:
            self.texts.append(text)


class Script:
    """The lines of one connection. `head` is the next that has not happened again yet."""

    def __init__(
        self, name: str, lines: Sequence[BusLine] | Sequence[GpsLine], differences: Differences, ahead: bool
    ) -> None:
        """`ahead`: lines arrive by themselves, so that clock reads of later ones may be due before they are taken."""
        self._name = name
        self._differences = differences
        self._ahead = ahead
        self._at = 0
        self._lines: list[WireLine] = []
        self._reads: deque[tuple[int, int]] = deque()
        has_guest = False
        for line in lines:
            self._reads += ((len(self._lines), int(line.t) + read_ms) for read_ms in line.now)
            if line.dir == "tx":
                has_guest = line.is_guest
            if not (has_guest and line.dir in ("tx", "rx", "silent")):
                self._lines.append(line)
        self._last_ms = 0

    @property
    def head(self) -> WireLine | None:
        """The next line; None at the end."""
        if self._at < len(self._lines) and self._lines[self._at].dir != "end":
            return self._lines[self._at]
        return None

    def is_next(self, *directions: Direction) -> bool:
        """Whether the next line is one of these."""
        return self.head is not None and self.head.dir in directions

    def take(self) -> WireLine:
        """The next line happens now."""
        line = self._lines[self._at]
        while self._reads and self._reads[0][0] <= self._at:
            self._reads.popleft()
        self._at += 1
        return line

    async def take_in_time(self, at_ms: float | None = None) -> WireLine:
        """The next line happens when it did, or at `at_ms`."""
        assert self.head is not None
        await until_ms(self.head.t if at_ms is None else at_ms)
        return self.take()

    def clock(self, now_ms: Callable[[], int]) -> int:
        """What the sensor read at this place; the loop's own time `now_ms` where it did not read the clock then."""
        limit = self._at
        while self._ahead and limit < len(self._lines) and self._lines[limit].dir == "rx":
            limit += 1
        if self._reads and self._reads[0][0] <= limit:
            self._last_ms = self._reads.popleft()[1]
        else:
            self._last_ms = max(self._last_ms, now_ms())
        return self._last_ms

    def differs(self, actual: str) -> None:
        """The sensor does `actual` instead of what the script says."""
        expected = "the end of the recording" if self.head is None else _words(self.head)
        at_ms = asyncio.get_running_loop().time() * 1000 if self.head is None else self.head.t
        self._differences.note(f"{self._name} at {at_ms:.0f} ms: recorded {expected}, now {actual}")

    def skip_to(self, wanted: Callable[[WireLine], bool]) -> bool:
        """Go on at the next line that is `wanted`, when there is one not far ahead."""
        for at in range(self._at, min(self._at + _WITHIN_LINES, len(self._lines))):
            if wanted(self._lines[at]):
                while self._at < at:
                    self.take()
                return True
        return False

    def answer_to(self, request: bytes) -> bytes | None:
        """What was last said to this request so far, or else what is said to it later; None when it was never made."""
        found: bytes | None = None
        for at, line in enumerate(self._lines):
            if line.dir != "tx" or line.content != request:
                continue
            if found is not None and at >= self._at:
                break
            said = b""
            for later in self._lines[at + 1 :]:
                if later.dir != "rx":
                    break
                said += later.content
            if said.endswith(b">"):
                found = said
        return found


def _words(line: WireLine) -> str:
    return f"{line.dir} {line.data or line.note!r}" if not line.data else f"{line.dir} {line.data!r}"


async def until_ms(at_ms: float) -> None:
    """Wait until device time `at_ms` of a virtual loop. Always lets others run."""
    await asyncio.sleep(max(0.0, at_ms / 1000 - asyncio.get_running_loop().time()))


async def for_ever() -> None:
    """Wait until cancelled: what would happen next is not in the recording."""
    await asyncio.get_running_loop().create_future()
