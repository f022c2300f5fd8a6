"""From the model to mode 01 answers: every signal as a value in the catalogue's unit, and its bytes (SAE J1979)."""

from collections.abc import Callable, Iterable
import math

from edge.simulator.powertrain import BAROMETRIC_KPA
from edge.simulator.vehicle import Vehicle
from sync_protocol.signals import catalogue

FINAL_DRIVE = 3.9
# Bytes B and C of PID 01: what is there. Misfire, fuel and components are always done; of the others, by bit of byte C,
# how many seconds the engine runs until they are.
_MONITORS = {"petrol": 0x07E5, "diesel": 0x0FEB}
_DONE_AFTER_S = {
    "petrol": {0: 900, 2: 1500, 5: 400, 6: 150, 7: 700},
    "diesel": {0: 900, 1: 1200, 3: 300, 5: 500, 6: 1800, 7: 700},
}


def _monitors(vehicle: Vehicle, ran_s: float) -> float:
    """Bytes B to D of PID 01 and PID 41 after `ran_s` with the engine running."""
    fuel = vehicle.kind.fuel
    return _MONITORS[fuel] << 8 | sum(1 << bit for bit, done_s in _DONE_AFTER_S[fuel].items() if ran_s < done_s)


def _fuel_system(vehicle: Vehicle) -> float:
    if not vehicle.is_running:
        return 0
    if vehicle.powertrain.state.is_fuel_cut:
        return 4
    if not vehicle.mixture.is_closed_loop:
        return 1
    return 16 if "P0130" in vehicle.troubles.stored else 2


def _throttle_pct(vehicle: Vehicle) -> float:
    engine = vehicle.powertrain.state
    if vehicle.kind.fuel == "diesel":
        return 89.0 if vehicle.is_running else 6.0
    return 12.2 + 68 * math.pow(engine.load, 1.25) * (0.45 + 0.55 * engine.rpm / vehicle.kind.max_rpm)


def _pedal_pct(vehicle: Vehicle) -> float:
    return 14.9 + 66 * vehicle.powertrain.state.demand if vehicle.speed_ms > 0.05 else 14.9


def _rail_kpa(vehicle: Vehicle) -> float:
    engine = vehicle.powertrain.state
    if not vehicle.is_running:
        return 400 if vehicle.has_ignition else 0
    top_kpa = 17_000 if vehicle.kind.fuel == "petrol" else 150_000
    return top_kpa * (0.22 + 0.78 * math.pow(engine.load, 0.7) * min(1.0, engine.rpm / 2200))


def _torque_pct(vehicle: Vehicle) -> float:
    return 100 * (vehicle.powertrain.state.torque_nm / vehicle.kind.torque_nm) if vehicle.is_running else 0.0


READINGS: dict[str, Callable[[Vehicle], float]] = {
    "is_mil_on": lambda v: v.troubles.is_lamp_on,
    "dtc_count": lambda v: len(v.troubles.stored),
    "monitor_bits": lambda v: _monitors(v, v.troubles.clear_s),
    "cycle_monitor_bits": lambda v: _monitors(v, v.run_s),
    "fuel_system_1": _fuel_system,
    "fuel_system_2": lambda v: 0,
    "engine_load_pct": lambda v: 100 * v.powertrain.state.load,
    "coolant_c": lambda v: v.temperatures.coolant_c,
    "short_trim_1_pct": lambda v: v.mixture.short_pct,
    "long_trim_1_pct": lambda v: v.mixture.long_pct,
    "manifold_kpa": lambda v: v.powertrain.state.manifold_kpa,
    "engine_rpm": lambda v: v.powertrain.state.rpm,
    "speed_kmh": lambda v: v.speed_ms * 3.6,
    "timing_advance_deg": lambda v: 34 - 24 * v.powertrain.state.load if v.is_running else 0,
    "intake_air_c": lambda v: v.temperatures.intake_c,
    "maf_gs": lambda v: v.powertrain.state.maf_gs,
    "throttle_pct": _throttle_pct,
    "o2_sensors_bits": lambda v: 3,
    "o2_b1s1_v": lambda v: v.mixture.upstream_v,
    "o2_b1s1_trim_pct": lambda v: v.mixture.short_pct,
    "o2_b1s2_v": lambda v: v.mixture.downstream_v,
    "o2_b1s2_trim_pct": lambda v: 99.3,
    "obd_standard": lambda v: 6,
    "is_pto_on": lambda v: 0,
    "run_time_s": lambda v: v.run_s if v.is_running else 0,
    "mil_distance_km": lambda v: v.troubles.lamp_m // 1000,
    "rail_gauge_kpa": _rail_kpa,
    "egr_pct": lambda v: 100 * v.powertrain.state.egr,
    "egr_error_pct": lambda v: 0.8,
    "evap_purge_pct": lambda v: 40 * v.powertrain.state.load if v.mixture.is_closed_loop else 0,
    "fuel_level_pct": lambda v: v.tank.level_pct,
    "warmups_count": lambda v: v.troubles.warmups,
    "clear_distance_km": lambda v: v.troubles.clear_m // 1000,
    "barometric_kpa": lambda v: BAROMETRIC_KPA,
    "catalyst_b1s1_c": lambda v: v.temperatures.catalyst_c,
    "module_v": lambda v: v.electrics.volts - 0.12,
    "absolute_load_pct": lambda v: v.powertrain.state.load * 100 * (1 + v.kind.boost_kpa / 100),
    "commanded_lambda": lambda v: 1.0 if v.mixture.is_closed_loop else 0.96,
    "relative_throttle_pct": lambda v: _throttle_pct(v) - 12.2,
    "ambient_c": lambda v: v.temperatures.ambient_c,
    "throttle_b_pct": lambda v: _throttle_pct(v) + 0.4,
    "pedal_d_pct": _pedal_pct,
    "commanded_throttle_pct": lambda v: _throttle_pct(v) - 9,
    "mil_time_min": lambda v: v.troubles.lamp_s // 60,
    "clear_time_min": lambda v: v.troubles.clear_s // 60,
    "fuel_type": lambda v: 1 if v.kind.fuel == "petrol" else 4,
    "oil_c": lambda v: v.temperatures.oil_c,
    "fuel_rate_lh": lambda v: v.powertrain.state.fuel_gs / v.kind.density_gl * 3600,
    "demand_torque_pct": _torque_pct,
    "torque_pct": _torque_pct,
    "reference_torque_nm": lambda v: v.kind.torque_nm,
    "gear_ratio": lambda v: v.kind.ratios[max(v.powertrain.state.gear, 1) - 1] / FINAL_DRIVE,
    "cluster_odometer_km": lambda v: v.odometer_m / 1000,
}


def reading(vehicle: Vehicle, name: str) -> float:
    """A signal's value now, in the catalogue's unit."""
    return float(READINGS[name](vehicle))


def raw_reading(vehicle: Vehicle, name: str) -> int:
    """A signal's raw integer now, held within what its bytes can carry."""
    signal = catalogue().by_name[name]
    bits = signal.bits if signal.bits is not None else 8 * signal.size
    least, most = (-(1 << bits - 1), (1 << bits - 1) - 1) if signal.signed else (0, (1 << bits) - 1)
    return max(least, min(most, round((READINGS[name](vehicle) - signal.offset) / float(signal.factor))))


def pid_data(vehicle: Vehicle, pid: int) -> bytes:
    """The data bytes that mode 01 answers for a supported PID that is not a list of supported PIDs."""
    content = 0
    size = catalogue().pid_bytes[pid]
    for signal in catalogue().by_pid[pid]:
        if signal.name not in READINGS:
            continue
        raw = raw_reading(vehicle, signal.name) & ((1 << 8 * signal.size) - 1)
        content |= raw << signal.shift << 8 * (size - signal.at - signal.size)
        if signal.needs_bit is not None:
            content |= 1 << signal.needs_bit << 8 * (size - 1)
    return content.to_bytes(size, "big")


def supported_bits(pids: Iterable[int], base: int) -> bytes:
    """The four bytes of PID `base` (00, 20, 40, ...): which of the next 32 PIDs there are, and whether more follow."""
    bits = 0
    for pid in pids:
        if base < pid <= base + 32:
            bits |= 1 << (base + 32 - pid)
        elif pid > base + 32:
            bits |= 1
    return bits.to_bytes(4, "big")
