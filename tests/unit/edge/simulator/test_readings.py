"""Every PID a kind claims is answered with bytes that the catalogue decodes back to the model's value."""

import pytest

from edge.simulator.kinds import KINDS
from edge.simulator.readings import READINGS, pid_data, raw_reading, reading, supported_bits
from edge.simulator.route import load_route
from edge.simulator.vehicle import Vehicle
from sync_protocol.signals import catalogue


@pytest.mark.parametrize("kind", KINDS)
def test_catalogue_decodes_what_the_model_meant(kind: str) -> None:
    vehicle = Vehicle(kind, KINDS[kind], load_route("valley"), "3")
    known = catalogue()
    for second in range(0, 700, 57):
        vehicle.advance_to(second)
        for pid in vehicle.kind.pids:
            data = pid_data(vehicle, pid)
            assert len(data) == known.pid_bytes[pid]
            for signal in known.by_pid[pid]:
                assert signal.name in READINGS, f"{signal.name} of PID {pid:02X} is not simulated"
                raw = signal.decode(data)
                assert raw == raw_reading(vehicle, signal.name)
                assert raw is not None
                assert signal.is_in_range(raw)
                truth = reading(vehicle, signal.name)
                assert signal.value(raw) == pytest.approx(truth, abs=float(signal.factor) * 0.51), signal.name


def test_every_reading_is_a_signal() -> None:
    assert set(READINGS) <= set(catalogue().by_name)


def test_supported_bits_of_sae_j1979() -> None:
    assert supported_bits([0x01, 0x0C, 0x0D, 0x20], 0x00).hex() == "80180001"
    assert supported_bits([0x0C, 0xA6], 0x00).hex() == "00100001"
    assert supported_bits([0x0C, 0xA6], 0x80).hex() == "00000001"
    assert supported_bits([0x0C, 0xA6], 0xA0).hex() == "04000000"
