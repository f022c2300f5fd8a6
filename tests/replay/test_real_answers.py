"""Real answers of real vehicles, put into a raw recording on the fly: the sensors make the reference's values of it."""

import csv
import gzip
import json
from pathlib import Path

import pytest

from edge.replay.player import Recorded, play
from edge.sensors.recording import BusLine, Context, Direction, GpsLine, Line, Row
from sync_protocol.signals import catalogue
from tests.support.real_data import require_data

BEGIN_MS = 1_000_000
# Signals of the table by the names that the reference gives them; all in the same unit.
NAMES = {"VSS": "speed_kmh", "RPM": "engine_rpm", "ECT": "coolant_c", "TP": "throttle_pct", "VPWR": "module_v",
         "CLR_DIST": "clear_distance_km", "RUNTM": "run_time_s", "TP_R": "relative_throttle_pct",
         "TP_B": "throttle_b_pct", "APP_D": "pedal_d_pct", "BARO": "barometric_kpa", "IAT": "intake_air_c"}  # fmt: skip


class Wire:
    """Writes a conversation down, an answer 30 ms after its request."""

    def __init__(self) -> None:
        self.lines: list[Line] = []
        self.now_ms = float(BEGIN_MS)

    def note(self, direction: Direction, data: str = "", note: str = "") -> None:
        self.lines.append(BusLine(self.now_ms, direction, data, note))

    def ask(self, command: str, *answer: str) -> None:
        self.note("tx", f"{command}\r")
        self.now_ms += 30
        self.note("rx", f"{command}\r" + "".join(f"{line}\r" for line in answer) + "\r>")


def bitmap(pid: int, more: bool) -> str:
    """The data of a list of supported PIDs that has one, and perhaps the list after it."""
    return f"{1 << (32 - pid % 0x20) | int(more):08X}" if pid % 0x20 else "00000001"


def stay(pid: int, answers: list[str]) -> Recorded:
    """A vehicle that supports one PID, asked for it once a second."""
    wire = Wire()
    wire.note("open", note="38400")
    wire.ask("ATZ", "", "ELM327 v1.5")
    for command in ("ATE1", "ATI", "ATM0", "ATL0", "ATS0", "ATAT1", "ATH1", "ATI"):
        wire.ask(command, "ELM327 v1.5" if command == "ATI" else "OK")
    wire.ask("ATRV", "12.6V")
    wire.ask("ATRV", "12.6V")
    wire.ask("ATSP6", "OK")
    for base in range(0, pid, 0x20):
        wire.ask(f"01{base:02X}", f"7E80641{base:02X}" + (bitmap(pid, False) if pid <= base + 0x20 else "00000001"))
    for second, answer in enumerate(answers, start=1):
        wire.now_ms = BEGIN_MS + 1000.0 * second
        wire.ask(f"01{pid:02X}", *answer.split("|"))
    name = catalogue().by_pid[pid][0].name
    memory = {
        "baud": 38400,
        "adapter": "ELM327 v1.5",
        "protocol": "6",
        "has_multi_pid": False,
        "has_frame_count": False,
    }
    obd = {"port": "/dev/milepost-obd", "skip": ["battery_v"], "dtc_period_s": 1e6, "quiet_after_s": 1e6}
    periods = dict.fromkeys((signal.name for signal in catalogue().by_pid[pid]), 1.0)
    context = Context(BEGIN_MS, obd=obd | {"periods_s": periods}, periods_s=periods, obd_memory=memory)
    assert name in periods
    return Recorded(context, wire.lines)


@pytest.mark.real_data
def test_answers_of_real_vehicles() -> None:
    path = require_data("elm327", "obdb-toyota-4runner", "responses_mode01.csv")
    compared = 0
    with path.open(newline="") as file:
        rows = list(csv.DictReader(file))
    for row in rows:
        expected, pid, text = (
            json.loads(row["expected_values_json"]),
            int(row["command_id"][-2:], 16),
            row["response_hex"],
        )
        if not set(expected) & set(NAMES):
            continue
        # Each from another vehicle, as far as is known: some fill their frames up and some do not.
        played = play(stay(pid, [text]))
        raw = next(line.raw for _, line in played.given if isinstance(line, Row))
        for name in set(expected) & set(NAMES):
            signal = catalogue().by_name[NAMES[name]]
            value = signal.value(raw[signal.id])
            assert value == pytest.approx(expected[name], abs=float(signal.factor) / 2 + 1e-4), (pid, text)
            compared += 1
    print(f"{compared} values")
    assert compared > 40


def reports(log: Path) -> list[bytes]:
    """gpsd's own words on a receiver's log."""
    packed = log.with_name(log.name + ".gz")
    text = gzip.decompress(packed.read_bytes()) if packed.exists() else log.read_bytes()
    return [line for line in text.splitlines(keepends=True) if line.startswith(b'{"class"')]


@pytest.mark.real_data
@pytest.mark.parametrize("log", ["haicom-305N", "quectel", "sl869", "telit-he910"])
def test_reports_of_real_receivers(log: str) -> None:
    lines = reports(require_data("gps", "gpsd-regression", f"{log}.log.chk"))
    at_ms, wire = float(BEGIN_MS), list[Line]()
    wire.append(GpsLine(at_ms, "open"))
    wire.append(GpsLine(at_ms, "tx", '?WATCH={"enable":true,"json":true}\n'))
    expected, latest = [], ""
    for line in lines:
        at_ms += 200
        wire.append(GpsLine(at_ms, "rx", line.decode("latin-1")))
        try:
            report = json.loads(line)
        except ValueError:
            continue
        if report["class"] == "TPV" and report["mode"] >= 2 and "lat" in report and report.get("time", "") > latest:
            latest = report["time"]
            expected.append((round(report["lat"] * 1e7), round(report["lon"] * 1e7)))
    context = Context(BEGIN_MS, gps={"device": None, "stale_s": 1e6, "lost_s": 1e6})
    played = play(Recorded(context, wire), is_strict=True)
    lat, lon = catalogue().by_name["lat_deg"], catalogue().by_name["lon_deg"]
    rows = [line.raw for _, line in played.given if isinstance(line, Row) and lat.id in line.raw]
    assert len(rows) == len(expected) > 0
    for raw, (lat_raw, lon_raw) in zip(rows, expected, strict=True):
        assert abs(raw[lat.id] - lat_raw) <= 1
        assert abs(raw[lon.id] - lon_raw) <= 1
