"""The file format of recordings: what sensors gave, one JSON line each, in the order it was given.

The first line is the header, `{"type":"milepost_recording","version":1,...}`. Then, with `t` in boot_ms:

    {"type":"row","t":81234000,"group":"obd_1s","raw":{"14":8000,"15":50}}      raw integers by signal id
    {"type":"mark","t":81235000,"ids":[14,15],"kind":"no_data"}
    {"type":"event","t":81235120,"kind":"dtc_set","data":{"code":"P0143","status":"stored"}}
    {"type":"anchor","t":81235200,"utc_ms":1795492800000,"source":"gps","uncertainty_ms":500}

A name that ends in `.gz` is compressed. Readers skip types and fields that they do not know, and a last line that was
cut off by a power failure. Raw integers mean what the catalogue says, whose ids never change their meaning.
"""

from collections.abc import Iterable, Iterator, Mapping
from contextlib import ExitStack
import gzip
from pathlib import Path
from types import TracebackType
from typing import IO, Any, Self, cast
import zlib

import msgspec

from edge.sensors.base import SensorSink
from sync_protocol.errors import Rejected, Unavailable
from sync_protocol.messages import AnchorSource, MarkKind, TimeAnchor
from sync_protocol.signals import catalogue

FORMAT_VERSION = 1


class Header(msgspec.Struct, frozen=True, tag="milepost_recording", omit_defaults=True):
    """First line. `boot_ms` is when the recording began; `utc_ms` the same instant as far as it was known."""

    version: int
    boot_ms: int
    catalogue: int
    utc_ms: int | None = None
    agent: str = ""
    note: str = ""


class Row(msgspec.Struct, frozen=True, tag="row"):
    """`SensorSink.row`."""

    t: int
    group: str
    raw: dict[int, int]


class MarkLine(msgspec.Struct, frozen=True, tag="mark"):
    """`SensorSink.mark`."""

    t: int
    ids: tuple[int, ...]
    kind: MarkKind


class EventLine(msgspec.Struct, frozen=True, tag="event"):
    """`SensorSink.event`."""

    t: int
    kind: str
    data: dict[str, Any] = {}


class AnchorLine(msgspec.Struct, frozen=True, tag="anchor"):
    """`SensorSink.anchor`."""

    t: int
    utc_ms: int
    source: AnchorSource
    uncertainty_ms: int


Line = Row | MarkLine | EventLine | AnchorLine

_encoder = msgspec.json.Encoder()
_line: msgspec.json.Decoder[Line] = msgspec.json.Decoder(Line)
_header = msgspec.json.Decoder(Header)
_any = msgspec.json.Decoder(dict[str, Any])
_TYPES = ("row", "mark", "event", "anchor")
# Each flush ends a block of gzip. A plain file is flushed by line, so that a kill cuts nothing.
_FLUSH_PACKED_MS = 5_000


class Recorder:
    """A sink that writes down what it gets, and passes it on. A full disk ends the recording, never the measuring."""

    def __init__(
        self, path: Path, onward: SensorSink, boot_ms: int, utc_ms: int | None = None, agent: str = ""
    ) -> None:
        """Begin the file. `Unavailable` when it cannot be written."""
        self._onward = onward
        self._flushed_ms = boot_ms
        self._flush_every_ms = _FLUSH_PACKED_MS if path.suffix == ".gz" else 0
        self.failure: str | None = None
        self.lines = 0
        self._closing = ExitStack()
        try:
            self._file: IO[bytes] = self._closing.enter_context(_open(path, "wb"))
        except OSError as err:
            raise Unavailable(f"{path}: {err.strerror}") from err
        self._write(Header(FORMAT_VERSION, boot_ms, catalogue().version, utc_ms, agent), boot_ms)
        self.lines = 0

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self.close()

    def close(self) -> None:
        """End the file."""
        try:
            self._closing.close()
        except OSError as err:
            self.failure = self.failure or str(err)

    def row(self, group: str, boot_ms: int, values: Mapping[int, int]) -> None:
        """As `SensorSink`."""
        self._write(Row(boot_ms, group, dict(values)), boot_ms)
        self._onward.row(group, boot_ms, values)

    def mark(self, signal_ids: Iterable[int], boot_ms: int, kind: MarkKind) -> None:
        """As `SensorSink`."""
        ids = tuple(signal_ids)
        self._write(MarkLine(boot_ms, ids, kind), boot_ms)
        self._onward.mark(ids, boot_ms, kind)

    def event(self, kind: str, boot_ms: int, data: dict[str, Any]) -> None:
        """As `SensorSink`."""
        self._write(EventLine(boot_ms, kind, data), boot_ms)
        self._onward.event(kind, boot_ms, data)

    def anchor(self, anchor: TimeAnchor) -> None:
        """As `SensorSink`."""
        line = AnchorLine(anchor.boot_ms, anchor.utc_ms, anchor.source, anchor.uncertainty_ms)
        self._write(line, anchor.boot_ms)
        self._onward.anchor(anchor)

    def _write(self, line: Header | Line, boot_ms: int) -> None:
        if self.failure is not None:
            return
        try:
            self._file.write(_encoder.encode(line) + b"\n")
            if boot_ms - self._flushed_ms >= self._flush_every_ms:
                self._file.flush()
                self._flushed_ms = boot_ms
        except OSError as err:
            self.failure = err.strerror or str(err)
        self.lines += 1


def read_header(path: Path) -> Header:
    """The header of a recording. `Rejected` when the file is not one, or of a later version."""
    for line in _lines(path):
        try:
            header = _header.decode(line)
        except (msgspec.DecodeError, UnicodeDecodeError) as err:
            raise Rejected(f"{path.name}: not a recording: {err}") from err
        if header.version > FORMAT_VERSION:
            raise Rejected(f"{path.name}: recording of version {header.version}, this software reads {FORMAT_VERSION}")
        return header
    raise Rejected(f"{path.name}: empty")


def read_recording(path: Path) -> Iterator[Line]:
    """The lines of a recording, in order. `Rejected` for a damaged line that is not the last."""
    read_header(path)
    damage: Rejected | None = None
    for number, text in enumerate(_lines(path), start=1):
        if number == 1:
            continue
        if damage is not None:
            raise damage
        try:
            yield _line.decode(text)
        except (msgspec.DecodeError, UnicodeDecodeError) as err:
            if not _is_unknown(text):
                damage = Rejected(f"{path.name}, line {number}: {err}")  # only if another line follows


def _is_unknown(text: bytes) -> bool:
    try:
        kind = _any.decode(text).get("type")
    except (msgspec.DecodeError, UnicodeDecodeError):
        return False
    return isinstance(kind, str) and kind not in _TYPES


def _lines(path: Path) -> Iterator[bytes]:
    try:
        with _open(path, "rb") as file:
            yield from file
    except EOFError:
        return  # compressed, and cut off
    except zlib.error as err:
        raise Rejected(f"{path.name}: damaged: {err}") from err
    except OSError as err:
        raise Rejected(f"{path.name}: {err.strerror or err}") from err


def _open(path: Path, mode: str) -> IO[bytes]:
    return cast(IO[bytes], gzip.open(path, mode) if path.suffix == ".gz" else path.open(mode))
