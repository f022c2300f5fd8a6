"""The catalogue is whole, its conversions are exact, and what frames depend on never changes."""

import json
from pathlib import Path

import pytest

from sync_protocol.signals import Signal, catalogue

FROZEN = Path(__file__).parents[2] / "data" / "frames" / "catalogue-v1.json"
SIGNALS = catalogue().signals


def test_the_mode_01_pids_that_cars_support_are_there() -> None:
    assert sum(s.pid is not None for s in SIGNALS) >= 60
    assert {0x04, 0x05, 0x0C, 0x0D, 0x0F, 0x10, 0x11, 0x1F, 0x2F, 0x31, 0x33, 0x42, 0x46, 0x5C, 0x5E, 0xA6} <= set(
        catalogue().by_pid
    )


def test_ids_names_and_vss_paths_are_unique_and_ids_rise() -> None:
    ids = [s.id for s in SIGNALS]
    assert ids == sorted(set(ids))
    assert len({s.name for s in SIGNALS}) == len({s.vss for s in SIGNALS}) == len(SIGNALS)


@pytest.mark.parametrize("signal", SIGNALS, ids=lambda s: s.name)
def test_rows_are_consistent(signal: Signal) -> None:
    assert signal.min < signal.max
    assert signal.period_s > 0
    assert signal.stale_s >= signal.period_s
    assert signal.vss.startswith("Vehicle.")
    assert signal.raw(signal.value(signal.typical)) == signal.typical
    assert signal.is_in_range(signal.typical)
    if signal.pid is not None:
        assert signal.at + signal.size <= catalogue().pid_bytes[signal.pid]
        top = (1 << (signal.bits or 8 * signal.size)) - 1
        assert all(signal.raw(signal.value(raw)) == raw for raw in {0, 1, top // 3, top})


def test_an_obd_value_is_what_the_standard_says() -> None:
    by_name = catalogue().by_name
    assert by_name["engine_rpm"].value(0x1AF8) == 1726.0
    assert by_name["coolant_c"].value(0x7B) == 83
    assert by_name["engine_load_pct"].value(255) == 100.0
    assert by_name["evap_pa"].decode(b"\xff\xfc") == -4
    assert by_name["dtc_count"].decode(b"\x83\x07\xe5\x00") == 3
    assert by_name["is_mil_on"].decode(b"\x83\x07\xe5\x00") == 1
    assert by_name["coolant_2_c"].decode(b"\x01\x50\x00") is None
    assert by_name["coolant_2_c"].decode(b"\x03\x50\x51") == 0x51


def test_what_frames_depend_on_is_frozen() -> None:
    """New rows are added, there and here; id, name, scale, offset, typical, order of released ones never change."""
    frozen = json.loads(FROZEN.read_text(encoding="utf-8"))
    now = {str(s.id): [s.name, s.scale, s.offset, s.typical, s.order] for s in SIGNALS}
    assert {i: now.get(i) for i in frozen} == frozen
    assert now.keys() == frozen.keys(), f"a new signal has a line in {FROZEN.name} too"
