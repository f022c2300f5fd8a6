"""The slice of the device's configuration that belongs to the OBD sensor."""

from typing import Annotated, Literal

import msgspec

from edge.sensors.obd.profile import unknown_signal

Volts = Annotated[float, msgspec.Meta(ge=0, le=60)]
Seconds = Annotated[float, msgspec.Meta(gt=0)]
Hours = Annotated[float, msgspec.Meta(gt=0)]


class BatteryConfig(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Section `[obd.battery]`. Defaults are of a 12 V lead battery; voltages are doubled by themselves on 24 V."""

    low_v: Volts = 12.2  # at rest below it: the vehicle is asked more rarely, and the advice is to save power
    empty_v: Volts = 11.8  # below it: nothing is asked, and the advice is to switch the device off
    settled_h: Hours = 0.5  # engine off that long: what the alternator left on the plates is gone
    rested_h: Hours = 3.0  # engine off that long: the voltage at rest is reported, then once a day
    watch_s: Seconds = 1.0  # between two readings at rest; ten times as long when low, sixty times when empty


class ObdConfig(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Section `[obd]`. Defaults fit a 12 V vehicle; voltages are doubled by themselves on a 24 V one."""

    enabled: bool = True
    sensor: Literal["elm", "python-obd"] = "elm"  # python-obd: for comparison only, needs the extra `obd`
    port: str = "/dev/milepost-obd"  # a device file, or socket://host:port
    baud: Annotated[int, msgspec.Meta(ge=0)] = 0  # 0: try the usual ones, remember what worked
    state_path: str | None = None  # what was learned of adapter and vehicle; None: learn anew each time
    deadline_s: Annotated[float, msgspec.Meta(gt=0.2, le=2)] = 2.0  # of one exchange with the adapter
    open_deadline_s: Annotated[float, msgspec.Meta(gt=0, le=15)] = 5.0  # Bluetooth connects when its port is opened
    search_deadline_s: Annotated[float, msgspec.Meta(gt=0, le=15)] = 12.0  # of a protocol search it has announced
    periods_s: dict[str, Seconds] = {}  # by signal name, over the catalogue's
    skip: tuple[str, ...] = ()  # signals never to be asked for
    profile: str = "auto"  # of the vehicle: by its VIN and fuel, or the name of one, or none
    profile_dir: str | None = None  # profiles of the installer's own, one TOML file each, before the shipped ones
    dtc_period_s: Seconds = 60.0
    voltage_period_s: Seconds = 10.0  # between two samples of the voltage while the vehicle sleeps
    probe_period_s: Seconds = 300.0  # of an adapter without voltage: first wait between two questions, doubles to 1 h
    probe_spacing_s: Seconds = 30.0  # the shortest time between two questions to a sleeping vehicle
    quiet_after_s: Seconds = 120.0  # engine off that long: stop asking, so that the vehicle can sleep
    charging_v: Volts = 13.2  # at or above it something charges the battery: the engine runs
    retry_s: Seconds = 1.0  # first wait before opening the port again; doubles up to
    retry_max_s: Seconds = 30.0
    battery: BatteryConfig = BatteryConfig()

    def __post_init__(self) -> None:
        for key, names in (("periods_s", self.periods_s), ("skip", self.skip)):
            for name in names:
                if problem := unknown_signal(name):
                    raise ValueError(f"{key}: {problem}")  # msgspec adds the path
