"""Bundles: several frames in one message. A form for the way only; unpacking gives exactly the committed bytes.

A frame stays what it is: immutable, numbered, with its own checksum. A bundle saves what frames have in common. Frames
that are stored as they are go together in runs (see `runs`), others ride along whole; zstd goes over all of it. `pack`
unpacks what it has packed before it lets it go. `SPEC.md` has the layout with worked bytes.
"""

from collections.abc import Sequence
from zlib import crc32

from sync_protocol import compression
from sync_protocol.errors import Rejected, Unavailable
from sync_protocol.header import HEADER_BYTES, MAX_BODY_BYTES, MAX_SAMPLES, frame_crc
from sync_protocol.runs import Run, split
from sync_protocol.varints import Reader, write_varint

MAGIC = b"\xd4B"
VERSION = 1
MAX_FRAMES = 256
MAX_CONTENT_BYTES = 1 << 18

_FRAME, _RUN = 0, 1
_CRC_BYTES = 4
_HEAD_BYTES = 9
_MAX_RUN_SAMPLES = MAX_SAMPLES


def is_bundle(data: bytes) -> bool:
    """Whether an up message is a bundle rather than a frame or a hello."""
    return data[:2] == MAGIC


def frame_count(data: bytes) -> int:
    """How many frames a message holds, by what it says itself: 1 for what is no bundle."""
    return data[4] + 1 if is_bundle(data) and len(data) >= _HEAD_BYTES else 1


def pack(frames: Sequence[bytes]) -> bytes:
    """One bundle of whole frames, in this order. ValueError beyond its limits: 256 frames, 256 KiB of content."""
    if not 1 <= len(frames) <= MAX_FRAMES or sum(map(len, frames)) > MAX_CONTENT_BYTES:
        raise ValueError(f"{len(frames)} frames, {sum(map(len, frames))} bytes: too much for a bundle, or nothing")
    packed = _packed(_runs(frames), frames)
    try:
        if unpack(packed) == list(frames):
            return packed
    except (Rejected, Unavailable):
        pass  # a frame that this program would encode otherwise, as one with a mistake in it: it rides along whole
    return _packed(b"".join(map(_whole, frames)), frames)


def _packed(content: bytes, frames: Sequence[bytes]) -> bytes:
    coding, sent = compression.compress(content)
    return MAGIC + bytes((VERSION, coding, len(frames) - 1)) + _checksum(frames) + write_varint(len(content)) + sent


def _checksum(frames: Sequence[bytes]) -> bytes:
    """CRC-32 of the frames' own checksums; it covers every byte of them."""
    crcs = b"".join([frame_crc(frame).to_bytes(_CRC_BYTES, "little") for frame in frames])
    return crc32(crcs).to_bytes(_CRC_BYTES, "little")


def _runs(frames: Sequence[bytes]) -> bytes:
    out = bytearray()
    run: Run | None = None
    for frame in frames:
        if run is not None and _joins(run, frame):
            continue
        if run is not None:
            out += write_varint(_RUN) + run.to_bytes()
        run = Run()
        if not _joins(run, frame):
            out += _whole(frame)
            run = None
    if run is not None:
        out += write_varint(_RUN) + run.to_bytes()
    return bytes(out)


def _joins(run: Run, frame: bytes) -> bool:
    try:
        return run.add(frame)
    except (Rejected, Unavailable):
        return False


def _whole(frame: bytes) -> bytes:
    return write_varint(_FRAME) + write_varint(len(frame)) + frame


def unpack(data: bytes) -> list[bytes]:
    """The frames of a bundle, 1 to 256. Each is then to be decoded like one that came alone, and may be bad.

    `Rejected` for anything that is no bundle, `Unavailable` for a version, dictionary or catalogue that is not known
    here. Nothing else, and never more memory than the limits say.
    """
    if not is_bundle(data) or len(data) < _HEAD_BYTES:
        raise Rejected("not a bundle: expected to start with d4 42")
    version, coding = data[2], data[3]
    if version != VERSION:
        raise Unavailable(f"bundle version {version} is not known here")
    reader = Reader(data, 5)
    checksum = reader.take(_CRC_BYTES)
    content_bytes = reader.varint(MAX_CONTENT_BYTES + MAX_FRAMES * 4)
    content = compression.decompress(coding, reader.take(reader.left), content_bytes)
    if len(content) != content_bytes:
        raise Rejected(f"content of {len(content)} bytes: the bundle says {content_bytes}")
    frames = _frames_of(Reader(content), frame_count(data))
    if _checksum(frames) != checksum:
        raise Rejected("checksum of the bundle's frames differs")
    return frames


def _frames_of(reader: Reader, count: int) -> list[bytes]:
    frames: list[bytes] = []
    samples = _MAX_RUN_SAMPLES
    while reader.left:
        most = count - len(frames)
        if not most:
            raise Rejected(f"more than the {count} frames it says")
        if reader.varint(_RUN) == _FRAME:
            frames.append(reader.take(reader.varint(HEADER_BYTES + MAX_BODY_BYTES)))
        else:
            of_run, used = split(reader, most, samples)
            frames += of_run
            samples -= used
    if len(frames) != count:
        raise Rejected(f"{len(frames)} frames: it says {count}")
    return frames
