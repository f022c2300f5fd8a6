"""The file format of recordings: what sensors heard, said and gave, one JSON line each, in the order it happened.

The first line is the header, `{"type":"milepost_recording","version":1,...}`. Then, with `t` in boot_ms:

    {"type":"row","t":81234000,"group":"obd_1s","raw":{"14":8000,"15":50}}      raw integers by signal id
    {"type":"mark","t":81235000,"ids":[14,15],"kind":"no_data"}
    {"type":"event","t":81235120,"kind":"dtc_set","data":{"code":"P0143","status":"stored"}}
    {"type":"anchor","t":81235200,"utc_ms":1795492800000,"source":"gps","uncertainty_ms":500}

`by` names the sensor that gave the line. A raw recording has also what led to them, and what became of them:

    {"type":"context","t":81233000,"obd":{...},"gps":{...},...}                 configuration and memory at the start
    {"type":"bus","t":81234003.118,"dir":"tx","data":"010C0D\\r"}                bytes to (tx) and from (rx) the adapter
    {"type":"gps","t":81234120.5,"dir":"rx","data":"{\\"class\\":...}\\r\\n","now":[-3,0]}  one line of gpsd
    {"type":"tick","t":81234200}                                               the sampler looked at the clock
    {"type":"watch","t":81234300,"lease_s":60.0}                               somebody looks at the vehicle
    {"type":"frame","t":81240010,"crc":3735928559,"samples":214,"events":1}    a frame was closed

`data` is bytes as Latin-1. Other directions are `open`, `refused`, `silent` (a deadline has passed), `lost`, `close`,
`end`. `now` is what the sensor read from its clock since its line before, as differences to `t` rounded down.
`is_guest` is set where somebody else used the connection, as `milepost dtc` does. `crc` is the CRC-32 of the frame,
uncompressed, as the `n`th of stream zero and boot 1, `n` counting from 1.

A name that ends in `.gz` is compressed. Readers skip types and fields that they do not know, and a last line that was
cut off by a power failure. Raw integers mean what the catalogue says, whose ids never change their meaning.
"""

from collections.abc import Iterator
import gzip
from pathlib import Path
from typing import IO, Any, Literal, cast
import zlib

import msgspec

from sync_protocol.errors import Rejected
from sync_protocol.messages import AnchorSource, MarkKind

FORMAT_VERSION = 1

Direction = Literal["open", "refused", "tx", "rx", "silent", "lost", "close", "end"]


class Header(msgspec.Struct, frozen=True, tag="milepost_recording", omit_defaults=True):
    """First line. `boot_ms` is when the recording began; `utc_ms` the same instant as far as it was known."""

    version: int
    boot_ms: int
    catalogue: int
    utc_ms: int | None = None
    agent: str = ""
    note: str = ""
    redacted: tuple[str, ...] = ()


class Row(msgspec.Struct, frozen=True, tag="row", omit_defaults=True):
    """`SensorSink.row`."""

    t: int
    group: str
    raw: dict[int, int]
    by: str = ""


class MarkLine(msgspec.Struct, frozen=True, tag="mark", omit_defaults=True):
    """`SensorSink.mark`."""

    t: int
    ids: tuple[int, ...]
    kind: MarkKind
    by: str = ""


class EventLine(msgspec.Struct, frozen=True, tag="event", omit_defaults=True):
    """`SensorSink.event`."""

    t: int
    kind: str
    data: dict[str, Any] = {}
    by: str = ""


class AnchorLine(msgspec.Struct, frozen=True, tag="anchor", omit_defaults=True):
    """`SensorSink.anchor`."""

    t: int
    utc_ms: int
    source: AnchorSource
    uncertainty_ms: int
    by: str = ""


class Context(msgspec.Struct, frozen=True, tag="context", omit_defaults=True):
    """What the sensors and the sampler began with; they begin anew with a raw recording. No secret is in it."""

    t: int
    obd: dict[str, Any] | None = None
    gps: dict[str, Any] | None = None
    sampling: dict[str, Any] = {}
    periods_s: dict[str, float] = {}
    obd_memory: dict[str, Any] = {}
    seeds: dict[str, int] = {}
    released_utc_ms: int = 0
    odometer_raw: int = 0
    anchor: tuple[int, int, AnchorSource, int] | None = None
    watched_ms: int = 0


class WireLine(msgspec.Struct, frozen=True, omit_defaults=True):
    """What passed one sensor's connection. `t` to the microsecond."""

    t: float
    dir: Direction
    data: str = ""
    note: str = ""
    now: tuple[int, ...] = ()
    is_guest: bool = False

    @property
    def content(self) -> bytes:
        """The bytes."""
        return self.data.encode("latin-1")


class BusLine(WireLine, frozen=True, tag="bus"):
    """The adapter's port. `note` is the baud rate of `open`, and the reason of what went wrong."""


class GpsLine(WireLine, frozen=True, tag="gps"):
    """The connection to gpsd; `rx` is a line with its end, or nothing when gpsd hung up."""


class TickLine(msgspec.Struct, frozen=True, tag="tick"):
    """The sampler's regular look at the clock."""

    t: int


class WatchLine(msgspec.Struct, frozen=True, tag="watch"):
    """`Sampler.watch`."""

    t: int
    lease_s: float


class FrameLine(msgspec.Struct, frozen=True, tag="frame"):
    """A frame was closed."""

    t: int
    crc: int
    samples: int
    events: int


Given = Row | MarkLine | EventLine | AnchorLine
Line = Given | Context | BusLine | GpsLine | TickLine | WatchLine | FrameLine

_line: msgspec.json.Decoder[Line] = msgspec.json.Decoder(Line)
_header = msgspec.json.Decoder(Header)
_any = msgspec.json.Decoder(dict[str, Any])
_TYPES = ("row", "mark", "event", "anchor", "context", "bus", "gps", "tick", "watch", "frame")


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


def read_given(path: Path) -> Iterator[Given]:
    """Of the lines of a recording those that went to the sampler."""
    return (line for line in read_recording(path) if isinstance(line, Row | MarkLine | EventLine | AnchorLine))


def open_recording(path: Path, mode: Literal["rb", "wb"]) -> IO[bytes]:
    """The file, through gzip when its name says so. OSError as `open`."""
    return cast(IO[bytes], gzip.open(path, mode) if path.suffix == ".gz" else path.open(mode))


def _is_unknown(text: bytes) -> bool:
    try:
        kind = _any.decode(text).get("type")
    except (msgspec.DecodeError, UnicodeDecodeError):
        return False
    return isinstance(kind, str) and kind not in _TYPES


def _lines(path: Path) -> Iterator[bytes]:
    try:
        with open_recording(path, "rb") as file:
            yield from file
    except EOFError:
        return  # compressed, and cut off
    except zlib.error as err:
        raise Rejected(f"{path.name}: damaged: {err}") from err
    except OSError as err:
        raise Rejected(f"{path.name}: {err.strerror or err}") from err
