"""zstd with the dictionaries that are shipped with the version. The only module that imports zstandard.

Frames carry size and checksums themselves, so zstd's magic, size, checksum and dictionary id are left out: 9 bytes.
"""

from functools import cache
from importlib.resources import files
from threading import local

import zstandard

from sync_protocol.errors import Rejected, Unavailable
from sync_protocol.header import STORED, ZSTD

DICTIONARY = 1
"""Number of the dictionary that new frames are made with: the file dictionaries/<n>.zdict."""

_LEVEL = 9
_MAX_WINDOW_BYTES = 1 << 20

_mine = local()  # zstd contexts are not safe for two threads at once


def compress(body: bytes) -> tuple[int, bytes]:
    """Coding and bytes to send; the body itself when zstd gains nothing."""
    coding = ZSTD + DICTIONARY if _dictionary(DICTIONARY) is not None else ZSTD
    packed: bytes = _compressor(coding).compress(body)
    return (coding, packed) if len(packed) < len(body) else (STORED, body)


def decompress(coding: int, sent: bytes, body_bytes: int) -> bytes:
    """The body. `Rejected` when the bytes are not zstd of this size, `Unavailable` for an unknown dictionary."""
    if coding == STORED:
        return sent
    if coding != ZSTD and _dictionary(coding - ZSTD) is None:
        raise Unavailable(f"compression dictionary {coding - ZSTD} is not known here")
    try:
        declared = zstandard.get_frame_parameters(sent, format=zstandard.FORMAT_ZSTD1_MAGICLESS).content_size
        if declared not in (zstandard.CONTENTSIZE_UNKNOWN, body_bytes):  # zstd would allocate what it declares
            raise Rejected(f"zstd declares {declared} bytes: header says {body_bytes}")
        body: bytes = _decompressor(coding).decompress(sent, max_output_size=body_bytes, allow_extra_data=False)
    except (zstandard.ZstdError, ValueError) as err:
        raise Rejected(f"body does not decompress: {err}") from err
    return body


@cache
def _dictionary(number: int) -> zstandard.ZstdCompressionDict | None:
    file = files("sync_protocol").joinpath("dictionaries", f"{number}.zdict")
    return zstandard.ZstdCompressionDict(file.read_bytes()) if file.is_file() else None


def _compressor(coding: int) -> zstandard.ZstdCompressor:
    if not hasattr(_mine, "compressor"):
        parameters = zstandard.ZstdCompressionParameters.from_level(
            _LEVEL,
            source_size=4096,
            format=zstandard.FORMAT_ZSTD1_MAGICLESS,
            write_content_size=0,
            write_checksum=0,
            write_dict_id=0,
        )
        dictionary = _dictionary(coding - ZSTD) if coding != ZSTD else None
        _mine.compressor = zstandard.ZstdCompressor(compression_params=parameters, dict_data=dictionary)
    found: zstandard.ZstdCompressor = _mine.compressor
    return found


def _decompressor(coding: int) -> zstandard.ZstdDecompressor:
    known: dict[int, zstandard.ZstdDecompressor] = _mine.__dict__.setdefault("decompressors", {})
    if coding not in known:
        known[coding] = zstandard.ZstdDecompressor(
            dict_data=_dictionary(coding - ZSTD) if coding != ZSTD else None,
            max_window_size=_MAX_WINDOW_BYTES,
            format=zstandard.FORMAT_ZSTD1_MAGICLESS,
        )
    return known[coding]
