"""The kinds of vehicles that can be simulated: figures of body and engine, and what the engine computer answers."""

from typing import Literal

import msgspec

Fuel = Literal["petrol", "diesel"]

_COMMON = (
    *(0x01, 0x04, 0x05, 0x0C, 0x0D, 0x0F, 0x1C, 0x1F, 0x21, 0x2F),
    *(0x30, 0x31, 0x33, 0x41, 0x42, 0x46, 0x4D, 0x4E, 0x51),
)
_PETROL = (*_COMMON, 0x03, 0x06, 0x07, 0x0E, 0x11, 0x13, 0x14, 0x15, 0x2E, 0x3C, 0x43, 0x44, 0x45, 0x47, 0x49, 0x4C)
_DIESEL = (*_COMMON, 0x0B, 0x10, 0x11, 0x23, 0x2C, 0x2D, 0x49, 0x5C, 0x5E, 0x61, 0x62, 0x63)


class Kind(msgspec.Struct, frozen=True, kw_only=True):
    """One kind. Ratios are engine turns for each turn of the wheels, final drive included."""

    name: str
    make: str
    model: str
    years: tuple[int, int]
    vin_maker: str
    vin_model: str
    fuel: Fuel
    mass_kg: float
    drag_area_m2: float  # drag coefficient times frontal area
    rolling: float
    wheel_radius_m: float
    ratios: tuple[float, ...]
    upshift_rpm: tuple[float, float]  # driven gently, driven hard
    idle_rpm: float
    max_rpm: float
    displacement_l: float
    torque_nm: float  # the most, at torque_rpm
    torque_rpm: float
    boost_kpa: float
    tank_l: float
    calibration: str
    supply_v: int = 12
    pids: tuple[int, ...]
    is_automatic: bool = False
    has_29_bit_ids: bool = False
    has_gearbox_ecu: bool = False
    has_mode_04_when_running: bool = True
    padding: int = 0x00

    @property
    def has_o2_sensor(self) -> bool:
        """Whether a narrow-band oxygen sensor is there to come loose."""
        return 0x14 in self.pids

    @property
    def stoichiometric(self) -> float:
        """Mass of air that burns one of fuel."""
        return 14.7 if self.fuel == "petrol" else 14.5

    @property
    def density_gl(self) -> float:
        """Density of the fuel in g/l."""
        return 745.0 if self.fuel == "petrol" else 832.0


KINDS: dict[str, Kind] = {
    kind.name: kind
    for kind in (
        Kind(
            name="van", make="Ford", model="Transit", years=(2016, 2023), vin_maker="WF0", vin_model="XXXTT",
            fuel="diesel",
            mass_kg=2400, drag_area_m2=1.65, rolling=0.011, wheel_radius_m=0.34,
            ratios=(16.4, 8.9, 5.6, 4.0, 3.05, 2.5), upshift_rpm=(2000, 2900), idle_rpm=800, max_rpm=4500,
            displacement_l=2.0, torque_nm=340, torque_rpm=2000, boost_kpa=110, tank_l=80, calibration="KK31-12A650-ABC",
            pids=(*_DIESEL, 0xA6), padding=0x00,
        ),
        Kind(
            name="car", make="Skoda", model="Octavia", years=(2015, 2022), vin_maker="TMB", vin_model="JJ7NE",
            fuel="petrol", mass_kg=1420, drag_area_m2=0.68, rolling=0.010, wheel_radius_m=0.31,
            ratios=(14.2, 8.1, 5.35, 3.95, 3.1, 2.55, 2.15), upshift_rpm=(2100, 3300), idle_rpm=760, max_rpm=6200,
            displacement_l=1.4, torque_nm=240, torque_rpm=2200, boost_kpa=110, tank_l=50,
            calibration="04E906027KC 9815",
            pids=(*_PETROL, 0x0B, 0x10, 0x23, 0x5C, 0x5E, 0x62, 0x63, 0xA4), is_automatic=True, has_gearbox_ecu=True,
            padding=0xAA,
        ),
        Kind(
            name="compact", make="Toyota", model="Yaris", years=(2012, 2019), vin_maker="JTD", vin_model="KW923",
            fuel="petrol", mass_kg=1080, drag_area_m2=0.63, rolling=0.010, wheel_radius_m=0.29,
            ratios=(14.6, 7.9, 5.3, 4.05, 3.25), upshift_rpm=(2200, 3400), idle_rpm=720, max_rpm=6000,
            displacement_l=1.33, torque_nm=112, torque_rpm=4000, boost_kpa=0, tank_l=42, calibration="30D54000",
            pids=(*_PETROL, 0x0B), padding=0x00,
        ),
        Kind(
            name="truck", make="Iveco", model="Daily 70C", years=(2014, 2023), vin_maker="ZCF", vin_model="C270D",
            fuel="diesel", mass_kg=5600, drag_area_m2=3.4, rolling=0.009, wheel_radius_m=0.37,
            ratios=(22.5, 12.6, 7.6, 5.05, 3.75, 3.0), upshift_rpm=(1900, 2600), idle_rpm=750, max_rpm=3900,
            displacement_l=3.0, torque_nm=430, torque_rpm=1800, boost_kpa=140, tank_l=100, calibration="1037563012P1",
            pids=(*_DIESEL, 0x1E, 0xA6), has_29_bit_ids=True, has_mode_04_when_running=False, padding=0x55,
        ),
        Kind(
            name="lorry", make="Iveco", model="Eurocargo 120E", years=(2015, 2023), vin_maker="ZCF", vin_model="A1EJ0",
            fuel="diesel", mass_kg=9800, drag_area_m2=4.9, rolling=0.008, wheel_radius_m=0.40,
            ratios=(29.0, 17.6, 10.4, 6.6, 4.5, 3.4), upshift_rpm=(1500, 2100), idle_rpm=650, max_rpm=2700,
            displacement_l=4.5, torque_nm=700, torque_rpm=1300, boost_kpa=145, tank_l=130, calibration="5801902233",
            supply_v=24, pids=(*_DIESEL, 0xA6), has_29_bit_ids=True, padding=0xFF,
        ),
    )
}  # fmt: skip
