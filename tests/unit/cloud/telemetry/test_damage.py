"""A store that is damaged says which file and what to do, wherever the damage shows, and is left as it is."""

from collections.abc import Callable
from pathlib import Path
import shutil

import pytest

from cloud.telemetry.ledger_view import load_ledger
from cloud.telemetry.store import TelemetryStore
from cloud.telemetry.verify import verify
from cloud.telemetry.writer import load_latest
from sync_protocol.errors import Unavailable
from tests.support.fleet import LocalPlane
from tests.support.frames import Drive

NAME = "telemetry.duckdb"
_HEADER_BYTES = 12_288
_BLOCK_BYTES = 262_144


@pytest.fixture(scope="module")
def stores(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """`whole`: a store that was closed; `killed`: one as a kill leaves it, everything in its log."""
    folder = tmp_path_factory.mktemp("stores")
    plane = LocalPlane(folder / "whole")
    plane.feed(list(Drive(1, rows=3).frames(1, 40)))
    shutil.copytree(folder / "whole", folder / "killed")
    plane.close()
    return folder


def read_all(folder: Path) -> None:
    """As the service does at its start, and `milepost-cloud verify`."""
    store = TelemetryStore(folder / NAME)
    try:
        store.open()
        for read in (load_ledger, load_latest, verify):
            store.read_sync(read)
    finally:
        store.close()


def every_block(data: bytearray) -> bytearray:
    """One bit in every block, as a worn disk flips them: some show when the file is opened, some when it is read."""
    for at in range(_HEADER_BYTES + 1_000, len(data), _BLOCK_BYTES):
        data[at] ^= 1
    return data


def flipped(at: int) -> Callable[[bytearray], bytearray]:
    """One byte turned over."""

    def flip(data: bytearray) -> bytearray:
        data[at] ^= 0xFF
        return data

    return flip


@pytest.mark.slow
@pytest.mark.parametrize(
    ("kind", "file", "harm"),
    [
        ("whole", NAME, lambda data: data[: len(data) // 2]),
        ("whole", NAME, lambda data: data[:0]),
        ("whole", NAME, lambda data: bytearray(b"x" * len(data))),
        ("whole", NAME, flipped(20)),
        ("whole", NAME, every_block),
        ("killed", f"{NAME}.wal", flipped(-5_000)),
    ],
)
def test_damage_is_told_with_its_file_and_the_way_back(
    stores: Path, tmp_path: Path, kind: str, file: str, harm: Callable[[bytearray], bytearray]
) -> None:
    folder = shutil.copytree(stores / kind, tmp_path / "store")
    (folder / file).write_bytes(harm(bytearray((folder / file).read_bytes())))
    before = {found: found.read_bytes() for found in folder.iterdir()}
    with pytest.raises(Unavailable) as told:
        read_all(folder)
    assert str(told.value).startswith(f"{folder / file}: ")
    assert "damaged" in str(told.value)
    assert "docs/ops/faults.md" in str(told.value)
    assert {found: found.read_bytes() for found in folder.iterdir()} == before


def test_a_log_that_is_cut_off_gives_what_was_whole(stores: Path, tmp_path: Path) -> None:
    folder = shutil.copytree(stores / "killed", tmp_path / "store")
    log = folder / f"{NAME}.wal"
    log.write_bytes(log.read_bytes()[:-5_000])
    read_all(folder)


def test_a_store_out_of_reach_is_no_damage(stores: Path, tmp_path: Path) -> None:
    folder = shutil.copytree(stores / "whole", tmp_path / "store")
    (folder / NAME).rename(folder / "elsewhere")
    (folder / NAME).mkdir()
    with pytest.raises(Unavailable) as told:
        read_all(folder)
    assert "damaged" not in str(told.value)
