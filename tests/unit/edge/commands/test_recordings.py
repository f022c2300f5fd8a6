"""`record redact` and `replay --check` as they are typed."""

from pathlib import Path

from click.testing import CliRunner, Result
import msgspec

from edge import cli
from edge.sensors.recorder import Recorder
from edge.sensors.recording import BusLine, read_header, read_recording
from sync_protocol.errors import Conflict

STORED = Path(__file__).parents[3] / "data" / "recordings" / "k_line_clone.jsonl.gz"


def run(*arguments: str) -> Result:
    return CliRunner().invoke(cli.root, list(arguments))


def test_a_recording_is_checked_and_printed() -> None:
    checked = run("replay", str(STORED), "--check", "--strict")
    assert (checked.exit_code, "the same: " in checked.output) == (0, True)
    assert b'"differences":[]' in run("replay", str(STORED), "--check", "--json").output_bytes
    assert "frames, " in run("replay", str(STORED)).output
    first = run("replay", str(STORED), "--speed", "1000").output.splitlines()[0]
    assert msgspec.json.decode(first)["type"] in ("row", "event", "anchor")


def test_a_difference_is_shown_and_is_the_exit_code(tmp_path: Path) -> None:
    changed, header = tmp_path / "changed.jsonl", read_header(STORED)
    with Recorder(changed, header.boot_ms, header.utc_ms) as recorder:
        for line in read_recording(STORED):
            if isinstance(line, BusLine):
                line = msgspec.structs.replace(line, data=line.data.replace("410C0C809C", "410C0C819D"))
            recorder.write(line)
    checked = run("replay", str(changed), "--check")
    assert checked.exit_code == 1
    assert "differences in" in checked.output
    assert '"14":3200' in checked.output
    assert '"14":3201' in checked.output
    with Recorder(tmp_path / "rows.jsonl", 0):
        pass
    assert run("replay", str(tmp_path / "rows.jsonl"), "--check").exit_code == 2


def test_redacting_needs_no_agent(tmp_path: Path) -> None:
    out = tmp_path / "out.jsonl"
    done = run("record", "redact", str(STORED), str(out), "--no-position", "--shift-days", "-30", "--no-calibrations")
    assert (done.exit_code, "redacted into" in done.output) == (0, True)
    assert read_header(out).redacted == ("vin", "no position", "time", "calibrations")
    assert run("replay", str(out), "--check").exit_code == 0
    assert isinstance(run("record", "redact", str(STORED), str(out)).exception, Conflict)
    assert run("record", "redact", str(STORED)).exit_code == 2
    assert run("record", "start", "x.jsonl", "--redact").exit_code == 2
