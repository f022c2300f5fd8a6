"""Control lines do what they say to the vehicle named, and say what was expected otherwise."""

from pathlib import Path

import pytest

from edge.simulator.control import execute
from edge.simulator.faults import FaultRequest
from edge.simulator.simulation import Simulation, SimulationConfig, check
from sync_protocol.errors import Invalid, NotFound


@pytest.fixture
def simulation(tmp_path: Path) -> Simulation:
    return Simulation(SimulationConfig(directory=tmp_path, vehicles=2, kinds=("van", "car"), routes=("fast",)))


def test_faults_come_and_go(simulation: Simulation) -> None:
    assert execute(simulation, "van-01 fault misfire").startswith("van-01 key_on 0 km/h")
    assert simulation.rig("van-01").vehicle.faults == {"misfire"}
    assert simulation.rig("car-01").vehicle.faults == set()
    assert execute(simulation, "all fault dtc=P0420").count("\n") == 1
    assert "faults -" in execute(simulation, "car-01 repair dtc=P0420")
    assert "faults dtc=P0420,misfire" in execute(simulation, "van-01 state")


def test_sky_silence_and_parking(simulation: Simulation) -> None:
    rig = simulation.rig("van-01")
    execute(simulation, "van-01 sky off")
    execute(simulation, "van-01 mute")
    execute(simulation, "van-01 park")
    assert (rig.receiver.is_covered, rig.port.is_silent, rig.vehicle.driver.is_held) == (True, True, True)
    execute(simulation, "van-01 sky on")
    execute(simulation, "van-01 unmute")
    execute(simulation, "van-01 drive")
    assert (rig.receiver.is_covered, rig.port.is_silent, rig.vehicle.driver.is_held) == (False, False, False)
    assert execute(simulation, "  ") == ""


@pytest.mark.parametrize(
    "line", ["van-01", "van-01 jump", "van-01 sky", "van-01 fault o2", "van-01 repair o2", "van-01 fault x"]
)
def test_wrong_lines_are_invalid(simulation: Simulation, line: str) -> None:
    with pytest.raises(Invalid):
        execute(simulation, line)


def test_unknown_vehicle_is_not_found(simulation: Simulation) -> None:
    with pytest.raises(NotFound, match="expected one of van-01, car-01"):
        execute(simulation, "bus-01 state")


@pytest.mark.parametrize(
    "wrong", [{"kinds": ("bus",)}, {"routes": ("moon",)}, {"vehicles": 0}, {"speed_factor": 0.0}], ids=str
)
def test_impossible_configurations_are_invalid(tmp_path: Path, wrong: dict[str, object]) -> None:
    with pytest.raises(Invalid, match="expected"):
        check(SimulationConfig(directory=tmp_path, **wrong))


def test_faults_of_the_configuration(tmp_path: Path) -> None:
    config = SimulationConfig(
        directory=tmp_path, vehicles=4, faults=(FaultRequest("o2"), FaultRequest("misfire", "van-01"))
    )
    broken = {rig.name: rig.vehicle.faults for rig in Simulation(config).rigs}
    assert broken == {"van-01": {"misfire"}, "car-01": {"o2"}, "compact-01": {"o2"}, "truck-01": set()}
    only_diesel = SimulationConfig(directory=tmp_path, vehicles=1, faults=(FaultRequest("o2"),))
    with pytest.raises(Invalid, match="no vehicle has a part"):
        Simulation(only_diesel)


def test_names_seeds_and_head_starts(tmp_path: Path) -> None:
    config = SimulationConfig(directory=tmp_path, vehicles=11, has_head_start=True)
    one, same = Simulation(config), Simulation(config)
    assert [r.name for r in one.rigs][::5] == ["van-01", "van-02", "van-03"]
    assert len({r.vehicle.vin for r in one.rigs}) == 11
    assert [(r.vehicle.vin, r.offset_s) for r in one.rigs] == [(r.vehicle.vin, r.offset_s) for r in same.rigs]
    assert one.rigs[0].offset_s == 0 < min(r.offset_s for r in one.rigs[1:])
