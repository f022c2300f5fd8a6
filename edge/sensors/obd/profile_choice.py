"""Which profile a vehicle gets, and what comes of it: explicit configuration first, then the profile, then defaults."""

from collections.abc import Callable
from typing import NamedTuple

import msgspec
import structlog

from edge.sensors.base import SensorSink
from edge.sensors.obd.config import ObdConfig
from edge.sensors.obd.elm import Elm
from edge.sensors.obd.errors import AdapterSilent
from edge.sensors.obd.maker import MakerReading
from edge.sensors.obd.makes import make_of, model_years
from edge.sensors.obd.memory import Memory
from edge.sensors.obd.profile import MakerRequest, Match, Profile, Quirks, load_profiles
from edge.sensors.obd.vehicle import REQUEST_ERRORS, Vehicle
from sync_protocol.errors import ConfigError
from sync_protocol.signals import Signal

log = structlog.get_logger(__name__)

AUTO = "auto"
NONE = "none"
_FUEL_TYPE = 0x51


class Facts(NamedTuple):
    """What is known of a vehicle when its profile is chosen. `vin` is what it said in this stay, not before."""

    vin: str | None
    protocol: str
    fuel_type: int | None


def fit(match: Match, facts: Facts) -> int | None:
    """How closely a vehicle fits: the higher, the closer. None: it does not, or nothing was given to fit."""
    score = 0
    if match.makes or match.wmis:
        if facts.vin is None or not (make_of(facts.vin) in match.makes or facts.vin[:3] in match.wmis):
            return None
        score += 8
    if match.model_years is not None:
        first, last = match.model_years
        if facts.vin is None or not any(first <= year <= last for year in model_years(facts.vin)):
            return None
        score += 4
    if match.protocols:
        if facts.protocol not in match.protocols:
            return None
        score += 1
    if match.fuel_types:
        if facts.fuel_type not in match.fuel_types:
            return None
        score += 2
    return score or None


class ProfileChoice:
    """Chooses when a vehicle answers, and takes back what did not work."""

    def __init__(self, config: ObdConfig, memory: Memory, clock: Callable[[], int]) -> None:
        """Loads all profiles. `ConfigError` when one is bad or the wanted one is not there."""
        self._config = config
        self._memory = memory
        self._clock = clock
        self._profiles = {} if config.profile == NONE else load_profiles(config.profile_dir)
        if config.profile not in (AUTO, NONE, *self._profiles):
            known = ", ".join((AUTO, NONE, *self._profiles))
            raise ConfigError(f"$.obd.profile: expected one of {known}, got {config.profile!r}")
        self._dropped: set[str] = set()
        self._told: str | None = None
        self.name: str | None = None

    def before_contact(self) -> None:
        """Lend the memory the protocol of the profile that is likely, where it has none of its own."""
        likely = self._profiles.get(self._config.profile if self._is_named else self._memory.profile)
        if likely is not None and likely.quirks.protocol and not self._memory.protocol:
            self._memory.protocol = likely.quirks.protocol

    async def apply(self, elm: Elm, vehicle: Vehicle, sink: SensorSink) -> tuple[ObdConfig, MakerReading | None]:
        """Choose for this vehicle and heed its quirks. The configuration to measure by, and the maker's requests."""
        facts = await self._facts(vehicle)
        name, reason = self._choose(facts)
        profile = self._profiles.get(name) if name else None
        if profile is not None and not await self._heed(elm, vehicle, profile.quirks):
            self._drop(str(name), "no answer when asked as it says", sink)
            name, profile = None, None
        self.name = name
        self._memory.profile = name or ""
        if self._told != name and (name or self._told):
            sink.event("profile_chosen", self._clock(), {"profile": name, "reason": reason})
            log.info("profile_chosen", profile=name, reason=reason)
        self._told = name
        if profile is None:
            return self._config, None
        vehicle.adopt(profile.asked_pids, profile.skipped_pids)
        requests = self._allowed(profile, vehicle, facts)
        if not requests:
            return profiled(self._config, profile), None

        def drop() -> None:
            self._drop(str(name), "none of its requests was answered", sink)

        return profiled(self._config, profile), MakerReading(requests, vehicle, self._clock, drop)

    def ended(self, elm: Elm, sink: SensorSink, *, is_fruitless: bool) -> None:
        """The stay is over. `is_fruitless`: not one row was read in it."""
        elm.home = None
        if self.name and is_fruitless:
            self._drop(self.name, "nothing was answered", sink)

    @property
    def _is_named(self) -> bool:
        return self._config.profile not in (AUTO, NONE)

    def _candidates(self) -> dict[str, Profile]:
        if self._is_named:
            return {self._config.profile: self._profiles[self._config.profile]}
        return {
            name: profile
            for name, profile in self._profiles.items()
            if not profile.match.only_by_name and name not in self._dropped
        }

    async def _facts(self, vehicle: Vehicle) -> Facts:
        """Ask for what the candidates need to know, and for nothing else."""
        matches = [profile.match for profile in self._candidates().values()]
        vin, fuel_type = None, None
        try:
            if any(match.makes or match.wmis or match.model_years for match in matches):
                vin = await vehicle.vin()
        except (*REQUEST_ERRORS, AdapterSilent) as err:
            log.info("vin_unreadable", reason=str(err))
        try:
            if any(match.fuel_types for match in matches) and _FUEL_TYPE in vehicle.owner:
                fuel_type = (await vehicle.read((_FUEL_TYPE,)))[_FUEL_TYPE][0]
        except (*REQUEST_ERRORS, AdapterSilent) as err:
            log.info("fuel_type_unreadable", reason=str(err))
        return Facts(vin, vehicle.bus.digit, fuel_type)

    def _choose(self, facts: Facts) -> tuple[str | None, str]:
        if self._is_named:
            name = self._config.profile
            return (None, "dropped before") if name in self._dropped else (name, "configured")
        fits = {name: score for name, p in self._candidates().items() if (score := fit(p.match, facts)) is not None}
        if not fits:
            return None, "none fits"
        best = max(fits, key=lambda name: fits[name])
        match = self._profiles[best].match
        return best, "vin" if match.makes or match.wmis or match.model_years else "fuel type or protocol"

    async def _heed(self, elm: Elm, vehicle: Vehicle, quirks: Quirks) -> bool:
        """Whether the vehicle still answers when it is asked as the profile says; all is taken back when not."""
        await elm.tune(quirks.adaptive_timing, quirks.answer_timeout_ms)
        elm.home = quirks.header if vehicle.bus.is_can else None
        vehicle.quirks = quirks
        if elm.home is None and quirks.adaptive_timing is None and quirks.answer_timeout_ms is None:
            return True
        try:
            await vehicle.ask("0100", 0x01)
        except (*REQUEST_ERRORS, AdapterSilent):
            elm.home = None
            vehicle.quirks = Quirks()
            await elm.tune(None, None)
            return False
        return True

    def _allowed(self, profile: Profile, vehicle: Vehicle, facts: Facts) -> list[MakerRequest]:
        """A maker's requests go only to a vehicle whose VIN says that it is that maker's: never a guessed value."""
        if not profile.requests:
            return []
        if fit(profile.match, facts) is None or len(profile.requests[0].to) != vehicle.bus.header_digits:
            log.warning("maker_requests_withheld", profile=self.name, reason="the vehicle does not fit the profile")
            return []
        skipped = profiled(self._config, profile).skip

        def is_wanted(signal: Signal) -> bool:
            return signal.name not in skipped and (signal.pid is None or signal.pid not in vehicle.owner)

        requests = []
        for request in profile.requests:
            pairs = zip(request.signals, request.values, strict=True)
            values = tuple(value for signal, value in pairs if is_wanted(signal))
            if values:
                requests.append(msgspec.structs.replace(request, values=values))
        return requests

    def _drop(self, name: str, reason: str, sink: SensorSink) -> None:
        self._dropped.add(name)
        self.name = self._told = None
        self._memory.profile = ""
        sink.event("profile_dropped", self._clock(), {"profile": name, "reason": reason})
        log.warning("profile_dropped", profile=name, reason=reason)


def profiled(config: ObdConfig, profile: Profile) -> ObdConfig:
    """The configuration with the profile under it: what the installer wrote goes before what the profile says."""
    skip = [name for name in profile.skip if name not in config.periods_s]
    return msgspec.structs.replace(
        config,
        periods_s={**profile.periods_s, **config.periods_s},
        skip=tuple(dict.fromkeys((*config.skip, *skip))),
    )
