"""Bytes a sample and speed of frames, on recordings that are not in the dictionary, beside the usual encodings."""

from collections.abc import Callable
import gzip
import io
import json
import sys
import time

import msgpack
import pyarrow as pa
import pyarrow.parquet as pq
import zstandard

from sync_protocol.codec import Group, decode_chunk, encode
from sync_protocol.header import HEADER_BYTES
from sync_protocol.signals import catalogue
from tests.bench.report import Figure, report
from tests.support.real_data import data_dir
from tests.support.recordings import carobd

STREAM = bytes(16)


def rows_of(group: Group) -> list[dict[str, float]]:
    """The samples as anyone would write them: one object an instant, values in the catalogue's units."""
    names = [catalogue().by_id[i] for i in group.signal_ids]
    return [
        {"t": int(t)} | {s.name: round(s.value(int(v)), 4) for s, v in zip(names, group.values[:, r], strict=True)}
        for r, t in enumerate(group.times_ms)
    ]


def as_json(rows: list[dict[str, float]]) -> bytes:
    return json.dumps(rows, separators=(",", ":")).encode()


def as_parquet(rows: list[dict[str, float]]) -> bytes:
    sink = io.BytesIO()
    pq.write_table(pa.Table.from_pylist(rows), sink, compression="zstd")
    return sink.getvalue()


REFERENCES: dict[str, Callable[[list[dict[str, float]]], bytes]] = {
    "JSON": as_json,
    "JSON+gzip": lambda rows: gzip.compress(as_json(rows), 9, mtime=0),
    "MessagePack+zstd": lambda rows: zstandard.compress(msgpack.packb(rows), 9),
    "Parquet+zstd": as_parquet,
}


def timed(work: Callable[[], object], least_s: float = 1.0) -> float:
    """Seconds a call, the best of the calls that fit into `least_s`."""
    best, end = float("inf"), time.perf_counter() + least_s
    while time.perf_counter() < end:
        start = time.perf_counter()
        work()
        best = min(best, time.perf_counter() - start)
    return best


def main() -> None:
    root = data_dir()
    if root is None:
        sys.exit("no real recordings: set MILEPOST_DATA")
    recordings = list(carobd(root))[::4]
    figures: list[Figure] = []
    aims = {1: "2.28", 10: "0.52", 60: "0.31"}
    for rows in (1, 10, 60):
        groups = [g for one in recordings for g in one.frames(rows)]
        samples = sum(int(g.present.sum()) for g in groups)
        frames = [encode(STREAM, 1, 1, [g]) for g in groups]
        sent = sum(map(len, frames))
        body = sent - HEADER_BYTES * len(frames)
        figures.append(
            Figure(f"bytes_per_sample_{rows}s", body / samples, "B", aims[rows], f"{sent / samples:.2f} with header")
        )
        some = groups[:: max(1, len(groups) // 300)]
        count = sum(int(g.present.sum()) for g in some)
        for name, pack in REFERENCES.items():
            if rows == 60 or name != "Parquet+zstd":
                size = sum(len(pack(rows_of(g))) for g in some)
                figures.append(
                    Figure(
                        f"  {name} {rows} s", size / count, "B", "", f"{size / count * samples / sent:.1f} times ours"
                    )
                )
    figures += speed([g for one in recordings for g in one.frames(10)][:1000])
    report(
        "codec", figures, {"recordings": len(recordings), "source": "carOBD Toyota Etios, every fourth, 27 PIDs, 1 Hz"}
    )


def speed(groups: list[Group]) -> list[Figure]:
    """Encode and decode, 10 s frames, one thread, beside JSON in the same run."""
    samples = sum(int(g.present.sum()) for g in groups)
    frames = [encode(STREAM, 1, 1, [g]) for g in groups]
    rows = [rows_of(g) for g in groups]
    texts = [as_json(r) for r in rows]
    encode_s = timed(lambda: [encode(STREAM, 1, 1, [g]) for g in groups])
    decode_s = timed(lambda: [decode_chunk(frames[i : i + 200]) for i in range(0, len(frames), 200)])
    json_out_s = timed(lambda: [as_json(r) for r in rows])
    json_in_s = timed(lambda: [json.loads(t) for t in texts])
    return [
        Figure("encode_samples_per_s", samples / encode_s, "1/s", "", f"{json_out_s / encode_s:.1f} times json.dumps"),
        Figure(
            "decode_samples_per_s",
            samples / decode_s,
            "1/s",
            "",
            f"{json_in_s / decode_s:.1f} times json.loads; 200 at a time",
        ),
    ]


if __name__ == "__main__":
    main()
