"""Signals worked out on the device from others of the same instant: fuel rate and distance."""

from collections.abc import Mapping
from typing import Literal

from sync_protocol.signals import catalogue

_BY_NAME = catalogue().by_name
SPEED = _BY_NAME["speed_kmh"].id
GPS_SPEED = _BY_NAME["gps_speed_kmh"]
MAF = _BY_NAME["maf_gs"]
RATE_LH = _BY_NAME["fuel_rate_lh"]
RATE_GS = _BY_NAME["fuel_rate_gs"]
LAMBDA = _BY_NAME["commanded_lambda"]
FUEL_TYPE = _BY_NAME["fuel_type"].id
FUEL_RATE = _BY_NAME["fuel_rate_est_lh"]
ODOMETER = _BY_NAME["odometer_km"]

Fuel = Literal["petrol", "diesel", "electric"]
_J1979_FUELS: dict[int, Fuel] = {1: "petrol", 4: "diesel", 8: "electric"}
_DENSITY_G_L = {"petrol": 745.0, "diesel": 835.0}
_PETROL_AIR_FUEL = 14.7
_LONGEST_STEP_MS = 5_000
_MM_A_UNIT = 10_000
"""The odometer travels in steps of 0.01 km."""


class FuelRate:
    """From PID 5E, 9D or the air flow, in this order; a diesel burns lean, so its air flow says nothing."""

    def __init__(self, fuel: Fuel | None) -> None:
        """`fuel` None: petrol until the engine computer says otherwise (PID 51)."""
        self._fuel: Fuel = fuel or "petrol"
        self._is_auto = fuel is None
        self._lambda = 1.0

    def raw(self, values: Mapping[int, int]) -> int | None:
        """Raw `fuel_rate_est_lh` for a row, when the row has anything to work it out from."""
        if self._is_auto and FUEL_TYPE in values:
            self._fuel = _J1979_FUELS.get(values[FUEL_TYPE], self._fuel)
        if LAMBDA.id in values:
            self._lambda = max(LAMBDA.value(values[LAMBDA.id]), 0.5)
        if self._fuel == "electric":
            return None
        if RATE_LH.id in values:
            return FUEL_RATE.raw(RATE_LH.value(values[RATE_LH.id]))
        if RATE_GS.id in values:
            grams_s = RATE_GS.value(values[RATE_GS.id])
        elif MAF.id in values and self._fuel == "petrol":
            grams_s = MAF.value(values[MAF.id]) / (_PETROL_AIR_FUEL * self._lambda)
        else:
            return None
        return FUEL_RATE.raw(grams_s * 3600 / _DENSITY_G_L[self._fuel])


class Odometer:
    """Adds the speed up over time. The engine's speed counts; the receiver's only while the engine gives none."""

    def __init__(self, start_raw: int) -> None:
        """`start_raw`: where the run before this one stopped, in 0.01 km."""
        self._mm = start_raw * _MM_A_UNIT
        self._at: dict[bool, tuple[int, float]] = {}

    @property
    def total_raw(self) -> int:
        """The distance in 0.01 km."""
        return self._mm // _MM_A_UNIT

    def raw(self, boot_ms: int, values: Mapping[int, int]) -> int | None:
        """Raw `odometer_km` at this row, when the row has a speed that counts."""
        if SPEED in values:
            is_engine, speed_kmh = True, float(values[SPEED])
        elif GPS_SPEED.id in values:
            is_engine, speed_kmh = False, GPS_SPEED.value(values[GPS_SPEED.id])
        else:
            return None
        last = self._at.get(is_engine)
        if last is None or boot_ms > last[0]:
            self._at[is_engine] = (boot_ms, speed_kmh)
        engine_at = self._at.get(True)
        if not is_engine and engine_at is not None and boot_ms - engine_at[0] <= _LONGEST_STEP_MS:
            return None
        if last is not None and 0 < boot_ms - last[0] <= _LONGEST_STEP_MS:
            self._mm += round((last[1] + speed_kmh) / 2 / 3.6 * (boot_ms - last[0]))
        return self.total_raw
