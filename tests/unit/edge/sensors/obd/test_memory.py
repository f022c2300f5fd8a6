"""What is remembered survives a restart, and losing it costs nothing but time."""

import asyncio
from pathlib import Path

from edge.sensors.obd.memory import Memory, MemoryFile


def test_what_was_saved_is_loaded(tmp_path: Path) -> None:
    path = tmp_path / "state" / "obd.json"
    memory = Memory(baud=38_400, protocol="6", has_multi_pid=True, vin="X", dtcs={"stored": {"7E8": ("P0143",)}})
    asyncio.run(MemoryFile(str(path)).save(memory))
    assert MemoryFile(str(path)).load() == memory
    assert [p.name for p in path.parent.iterdir()] == ["obd.json"]


def test_nothing_is_written_when_nothing_changed(tmp_path: Path) -> None:
    path = tmp_path / "obd.json"
    file = MemoryFile(str(path))
    asyncio.run(file.save(Memory()))
    path.unlink()
    asyncio.run(file.save(Memory()))
    assert not path.exists()


def test_damage_and_a_card_that_cannot_be_written_are_survived(tmp_path: Path) -> None:
    path = tmp_path / "obd.json"
    for text in (b"", b"{", b"\xff\xff", b'{"baud":"x"}', b"[]"):
        path.write_bytes(text)
        assert MemoryFile(str(path)).load() == Memory()
    assert MemoryFile(str(tmp_path)).load() == Memory()
    (tmp_path / "file").write_text("")
    asyncio.run(MemoryFile(str(tmp_path / "file" / "obd.json")).save(Memory(baud=1)))
    asyncio.run(MemoryFile(None).save(Memory(baud=1)))
    assert MemoryFile(None).load() == Memory()
