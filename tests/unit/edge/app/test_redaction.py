"""Redaction: nothing of the vehicle's number or place is left in the file, and it still plays the same."""

import asyncio
import gzip
import itertools
import math
from pathlib import Path
import re

import pytest

from edge.replay.check import check
from edge.replay.player import load, play
from edge.replay.redaction import Redaction, redact
from edge.replay.secrets import Hidden, redacted_bus, vin_in_place_of
from edge.replay.virtual_loop import VirtualLoop
from edge.replay.whereabouts import Moved
from edge.sensors.obd.answer import Bus, messages
from edge.sensors.obd.config import ObdConfig
from edge.sensors.obd.decode import vin_text
from edge.sensors.recording import BusLine, EventLine, GpsLine, Row, read_recording
from sync_protocol.errors import Conflict
from sync_protocol.signals import catalogue
from tests.support.elm_fakes import iso_tp, older_lines
from tests.support.simulated_rig import START_MS, SimulatedRig

VIN = "1HGBH41JXMN109186"
OTHER = vin_in_place_of(VIN, 1)
LAT, LON = catalogue().by_name["lat_deg"], catalogue().by_name["lon_deg"]


def test_the_other_number_is_of_the_same_maker_and_year_and_checks() -> None:
    assert OTHER == "1HGZZZZZ3MZ000001"
    assert vin_in_place_of(OTHER, 1) == OTHER


@pytest.mark.parametrize("spaces", [False, True])
@pytest.mark.parametrize("lower", [False, True])
@pytest.mark.parametrize(("digit", "ecus"), [("6", (0x7E8,)), ("6", (0x7E8, 0x7E9)), ("3", (0x10,)), ("1", (0x10,))])
def test_an_answer_of_any_framing(digit: str, ecus: tuple[int, ...], spaces: bool, lower: bool) -> None:
    data = b"\x49\x02\x01" + VIN.encode()
    per_ecu = [iso_tp(ecu, data) if digit == "6" else older_lines(ecu, data) for ecu in ecus]
    lines = [line for group in zip(*per_ecu, strict=True) for line in group]  # computers take turns
    if digit == "1":
        lines = [_with_crc(line) for line in lines]
    shown = [" ".join(re.findall("..?", line)) if spaces and digit != "6" else line for line in lines]
    text = "0902\r" + "".join(line + "\r" for line in (map(str.lower, shown) if lower else shown)) + "\r>"
    changed = Hidden({VIN: OTHER}).in_exchange("0902", text, digit)
    assert len(changed) == len(text)
    plain = [line.replace(" ", "").upper() for line in re.split("[\r>]+", changed)[1:] if line]
    bus = Bus(digit)
    assert vin_text(messages(plain, bus), bus.is_can) == OTHER


def _with_crc(line: str) -> str:
    crc = 0xFF
    for byte in bytes.fromhex(line[:-2]):
        crc ^= byte
        for _ in range(8):
            crc = (crc << 1 ^ 0x1D if crc & 0x80 else crc << 1) & 0xFF
    return line[:-2] + f"{crc ^ 0xFF:02X}"


def test_what_is_left_of_a_number_in_a_damaged_answer_goes_too() -> None:
    frames = iso_tp(0x7E8, b"\x49\x02\x01" + VIN.encode())
    for kept in ([0, 2], [1, 2], [2], [0, 1]):
        text = "0902\r" + "".join(frames[i] + "\r" for i in kept) + "\r>"
        for hidden in (Hidden({VIN: OTHER}), Hidden({})):
            changed = hidden.in_exchange("0902", text, "6")
            assert len(changed) == len(text)
            for at in range(17 - 4):
                assert VIN[at : at + 5].encode().hex().upper() not in changed


@pytest.mark.parametrize("hidden", [Hidden({VIN: OTHER}), Hidden({})])
def test_what_is_left_of_a_number_in_a_late_answer_goes_too(hidden: Hidden) -> None:
    frames = iso_tp(0x7E8, b"\x49\x02\x01" + VIN.encode())
    late = (
        ("tx", "0 9  02\r"),
        ("rx", "0 9  02\r"),
        ("silent", ""),
        ("tx", " "),
        ("tx", "A T I\r"),
        ("rx", frames[1] + "\r>"),
    )
    lines = [BusLine(t, way, data) for t, (way, data) in enumerate((*late, ("rx", "A T I\rELM327 v1.5\r\r>")))]
    changed = [line.data for line in redacted_bus(lines, hidden) if isinstance(line, BusLine)]
    assert changed[:5] == [line.data for line in lines[:5]]
    assert changed[6] == lines[6].data
    assert len(changed[5]) == len(lines[5].data)
    for at in range(17 - 4):
        assert VIN[at : at + 5].encode().hex().upper() not in changed[5]


def test_a_move_keeps_distances() -> None:
    moved = Moved(47.2, 9.5, 455)
    places = [(47.2 + 0.013 * i, 9.5 + 0.021 * math.sin(i)) for i in range(40)]
    for before, after in zip(
        itertools.pairwise(places), itertools.pairwise(moved.place(*p) for p in places), strict=True
    ):
        assert _metres(*after) == pytest.approx(_metres(*before), abs=0.01)
    north = moved.place(47.201, 9.5)
    assert north[0] == pytest.approx(0.001, abs=1e-8)
    assert north[1] == pytest.approx(-30, abs=1e-8)


def _metres(a: tuple[float, float], b: tuple[float, float]) -> float:
    lat_a, lat_b = math.radians(a[0]), math.radians(b[0])
    half = math.sin((lat_b - lat_a) / 2) ** 2
    half += math.cos(lat_a) * math.cos(lat_b) * math.sin(math.radians(b[1] - a[1]) / 2) ** 2
    return 2 * 6_371_000 * math.asin(math.sqrt(half))


def test_only_what_is_known_to_tell_no_place_is_kept_of_gpsd() -> None:
    moved = Moved(47.2, 9.5, 455, days=-3)
    line = moved.line(
        b'{"class":"TPV","device":"/dev/serial/by-id/usb-u-blox_7_SN123","mode":3,"time":"2026-11-20T07:00:01.000Z",'
        b'"lat":47.2,"lon":9.5,"altMSL":456.0,"ecefx":4260000.1,"magvar":3.1,"speed":3.5,"track":12.0}\r\n'
    )
    assert line == (
        b'{"class":"TPV","mode":3,"device":"/dev/gps0","time":"2026-11-17T07:00:01.000Z","lat":0.0,"lon":-30.0,'
        b'"altMSL":1.0,"track":12.0,"speed":3.5}\r\n'
    )
    assert moved.line(b'{"class":"POLL","tpv":[{"lat":47.2}]}\n') == b'{"class":"POLL"}\n'
    assert moved.line(b'garbage "lat":47.2\n') == b"?\n"
    devices = b'{"class":"DEVICES","devices":[{"path":"/dev/x","sernum":"SN123","subtype":"7"}]}\n'
    assert b"SN123" not in moved.line(devices)


@pytest.fixture(scope="module")
def drive(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, str]:
    """A short drive of the simulator in virtual time, and the vehicle's number."""
    folder = tmp_path_factory.mktemp("drive")
    vins: list[str] = []

    async def body() -> None:
        rig = SimulatedRig("car", "valley", "redaction")
        vins.append(rig.vehicle.vin)
        async with rig.recorded(folder / "raw.jsonl", folder, ObdConfig(dtc_period_s=5)):
            await asyncio.sleep(14)

    with asyncio.Runner(loop_factory=lambda: VirtualLoop(START_MS)) as runner:
        runner.run(body())
    return folder / "raw.jsonl", vins[0]


def packed(text: str) -> str:
    """Hexadecimal digits only, frame after frame: what a search across lines would see."""
    return re.sub(r"[^0-9A-F]", "", text.upper())


@pytest.mark.parametrize("redaction", [Redaction(), Redaction(shift_days=-400, has_calibrations=False)])
def test_nothing_is_left_and_it_plays_the_same(drive: tuple[Path, str], tmp_path: Path, redaction: Redaction) -> None:
    raw, vin = drive
    target = tmp_path / "redacted.jsonl.gz"
    redact(raw, target, redaction)
    with pytest.raises(Conflict):
        redact(raw, target, redaction)
    text = gzip.decompress(target.read_bytes()).decode()
    before = raw.read_text()
    assert vin in before
    for form in (
        vin,
        vin[::-1],
        vin.encode().hex(),
        vin.encode().hex().upper(),
        vin[9:],
        vin[11:].encode().hex().upper(),
    ):
        assert form not in text
    for at in range(17 - 5):  # what fits one frame of a bus
        assert vin[at : at + 6] not in ("ZZZZZZ",)
        assert vin[at : at + 6].encode().hex().upper() not in text
    true = {m[0] for m in re.finditer(r'"lat\\":(-?[\d.]+)', before)}
    assert true
    assert not [t for t in true if t in text]
    rows = [line for line in read_recording(raw) if isinstance(line, Row) and LAT.id in line.raw]
    assert rows
    for row in rows:
        assert str(row.raw[LAT.id]) not in text
        assert str(row.raw[LON.id]) not in text
    assert '\\"lat\\":47' not in text
    recorded, redacted = load(raw), load(target)
    assert recorded is not None
    assert redacted is not None
    assert check(redacted, play(redacted, is_strict=True)).differences == []
    assert _engine(raw) == _engine(target)
    if redaction.shift_days:
        assert "2026-11" not in text


def _engine(path: Path) -> list[Row]:
    return [line for line in read_recording(path) if isinstance(line, Row) and line.by == "obd"]


def test_without_position_nothing_of_gps_is_left(drive: tuple[Path, str], tmp_path: Path) -> None:
    raw, _ = drive
    target = tmp_path / "redacted.jsonl"
    redact(raw, target, Redaction(has_position=False))
    lines = list(read_recording(target))
    assert not [
        line for line in lines if isinstance(line, GpsLine) or (isinstance(line, EventLine) and line.by == "gps")
    ]
    assert not [line for line in lines if isinstance(line, Row) and (LAT.id in line.raw or line.by == "gps")]
    redacted = load(target)
    assert redacted is not None
    assert check(redacted, play(redacted, is_strict=True)).differences == []
    assert _engine(raw) == _engine(target)
