"""Secrets reach the disk whole and for their owner only."""

from pathlib import Path
import stat

from sync_protocol.secret_files import write_secret


def test_only_the_owner_reads_it_and_nothing_else_is_left(tmp_path: Path) -> None:
    write_secret(tmp_path / "a.seed", b"first")
    (tmp_path / "a.seed.making").write_bytes(b"half of it, when the power went")
    write_secret(tmp_path / "a.seed", b"second")
    assert (tmp_path / "a.seed").read_bytes() == b"second"
    assert stat.S_IMODE((tmp_path / "a.seed").stat().st_mode) == 0o600
    assert [path.name for path in tmp_path.iterdir()] == ["a.seed"]
