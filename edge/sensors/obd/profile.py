"""Vehicle profiles as data: what is known of a make or kind of vehicle, one TOML file each. Loaded and checked here."""

from collections.abc import Iterable, Mapping
import difflib
from fractions import Fraction
from functools import cached_property
from importlib.resources import files
from pathlib import Path
import tomllib
from typing import Annotated, Literal

import msgspec

from sync_protocol.errors import ConfigError
from sync_protocol.signals import Signal, catalogue

Seconds = Annotated[float, msgspec.Meta(gt=0)]
Pid = Annotated[str, msgspec.Meta(pattern=r"^[0-9A-F]{2}$")]
Computer = Annotated[str, msgspec.Meta(pattern=r"^(7E[0-7]|18DA[0-9A-F]{2}F1)$")]  # an address of ISO 15765-4


class Match(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Which vehicles a profile is for. Everything that is given must hold; nothing given: only by name."""

    makes: tuple[str, ...] = ()  # as in makes.toml, found by the VIN's first three characters
    wmis: tuple[Annotated[str, msgspec.Meta(pattern=r"^[A-HJ-NPR-Z0-9]{3}$")], ...] = ()  # those characters
    model_years: tuple[int, int] | None = None  # first and last; only for makes whose VIN tells the year
    protocols: Annotated[str, msgspec.Meta(pattern=r"^[1-9]*$")] = ""  # digits of the ELM327
    fuel_types: tuple[Annotated[int, msgspec.Meta(ge=0, le=255)], ...] = ()  # as PID 51 says
    only_by_name: bool = False  # the VIN cannot tell the model: the installer must choose it


class Quirks(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """How the vehicle wants to be asked. None leaves it to what the sensor finds out."""

    protocol: Annotated[str, msgspec.Meta(pattern=r"^[1-9]$")] | None = None  # tried before a search
    has_multi_pid: Literal[False] | None = None  # false: never several PIDs in a request
    has_frame_count: Literal[False] | None = None  # false: never foretell the number of frames
    adaptive_timing: Annotated[int, msgspec.Meta(ge=0, le=2)] | None = None  # ATAT
    answer_timeout_ms: Annotated[int, msgspec.Meta(ge=4, le=1020)] | None = None  # ATST
    header: Computer | None = None  # ask this computer instead of all
    is_padded: Literal[True] | None = None  # every computer fills its CAN frames up: shorter ones have lost bytes
    start_delay_s: Annotated[float, msgspec.Meta(ge=0, le=60)] = 0.0  # after the first answer, before values are good


class Slice(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A signal in the answer to a maker's request: `value = number * scale + offset`, in the signal's unit."""

    signal: str
    at: Annotated[int, msgspec.Meta(ge=0)]  # first byte behind the repeated identifier
    size: Annotated[int, msgspec.Meta(ge=1, le=4)] = 1
    signed: bool = False
    shift: Annotated[int, msgspec.Meta(ge=0, le=31)] = 0
    bits: Annotated[int, msgspec.Meta(ge=1, le=32)] | None = None
    scale: str = "1"  # exact: "1/128"
    offset: str = "0"
    not_values: tuple[int, ...] = ()  # numbers that mean "no value"

    def raw(self, data: bytes) -> int | None:
        """The catalogue's raw integer, or None: no value, or one that the signal cannot physically have."""
        number = int.from_bytes(data[self.at : self.at + self.size], "big", signed=self.signed) >> self.shift
        if self.bits is not None:
            number &= (1 << self.bits) - 1
        signal = catalogue().by_name[self.signal]
        value = number * Fraction(self.scale) + Fraction(self.offset)
        if number in self.not_values or not signal.min <= value <= signal.max:
            return None
        return round((value - Fraction(signal.offset)) / signal.factor)


class MakerRequest(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A request of the maker's own, to one computer on CAN. `size_bytes` is what follows the repeated identifier."""

    request: Annotated[str, msgspec.Meta(pattern=r"^(21[0-9A-F]{2}|22[0-9A-F]{4})$")]
    to: Computer
    size_bytes: Annotated[int, msgspec.Meta(ge=1, le=4090)]
    period_s: Seconds
    values: Annotated[tuple[Slice, ...], msgspec.Meta(min_length=1)]

    @property
    def answered_by(self) -> int:
        """The address that the answer must come from (ISO 15765-4)."""
        if len(self.to) == 3:
            return int(self.to, 16) + 8
        return int(f"18DAF1{self.to[4:6]}", 16)

    @property
    def signals(self) -> list[Signal]:
        """What it gives."""
        return [catalogue().by_name[value.signal] for value in self.values]


class Profile(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, dict=True):
    """One file. `source` says how its facts are known. `pids_to_ask` are not announced, `pids_to_skip` falsely so."""

    text: str
    source: str
    match: Match = Match()
    periods_s: dict[str, Seconds] = {}
    skip: tuple[str, ...] = ()
    pids_to_ask: tuple[Pid, ...] = ()
    pids_to_skip: tuple[Pid, ...] = ()
    quirks: Quirks = Quirks()
    requests: tuple[MakerRequest, ...] = ()

    @cached_property
    def asked_pids(self) -> frozenset[int]:
        """`pids_to_ask` as numbers."""
        return frozenset(int(pid, 16) for pid in self.pids_to_ask)

    @cached_property
    def skipped_pids(self) -> frozenset[int]:
        """`pids_to_skip` as numbers."""
        return frozenset(int(pid, 16) for pid in self.pids_to_skip)


def parse_profile(text: str, place: str) -> Profile:
    """A checked profile. `ConfigError` names `place`, the path of what is wrong, and what was expected."""
    try:
        profile = msgspec.convert(tomllib.loads(text), Profile)
    except tomllib.TOMLDecodeError as err:
        raise ConfigError(f"{place}: not TOML: {err}") from err
    except msgspec.ValidationError as err:
        raise ConfigError(f"{place}: {err}") from err
    for problem in _problems(profile):
        raise ConfigError(f"{place}: {problem}")
    return profile


def load_profiles(folder: str | None) -> dict[str, Profile]:
    """The shipped profiles by name, and over them those of the installer's folder. `ConfigError` for a bad one."""
    shipped = files("edge.sensors.obd").joinpath("profiles").iterdir()
    texts = {
        item.name: (item.name, item.read_text(encoding="utf-8")) for item in shipped if item.name.endswith(".toml")
    }
    if folder is not None:
        if not Path(folder).is_dir():
            raise ConfigError(f"$.obd.profile_dir: expected a folder, got {folder}")
        try:
            for path in sorted(Path(folder).glob("*.toml")):
                texts[path.name] = (str(path), path.read_text(encoding="utf-8"))
        except (OSError, UnicodeDecodeError) as err:
            raise ConfigError(f"$.obd.profile_dir {folder}: {err}") from err
    return {name.removesuffix(".toml"): parse_profile(text, place) for name, (place, text) in sorted(texts.items())}


def unknown_signal(name: str) -> str | None:
    """What is wrong with a signal's name, or None when the catalogue has it."""
    if name in catalogue().by_name:
        return None
    near = difflib.get_close_matches(name, catalogue().by_name, 1)
    return f"expected a signal of the catalogue{f', as {near[0]!r}' if near else ''}, got {name!r}"


def _problems(profile: Profile) -> Iterable[str]:
    for name in profile.skip:
        if problem := unknown_signal(name):
            yield f"$.skip: {problem}"
    yield from _period_problems(profile.periods_s)
    for pid in profile.asked_pids - catalogue().pid_bytes.keys():
        yield f"$.pids_to_ask: expected a PID of the catalogue, got {pid:02X}"
    if profile.requests and not (profile.match.makes or profile.match.wmis):
        yield "$.match: expected makes or wmis, since requests of a maker go to that make's vehicles only"
    for index, request in enumerate(profile.requests):
        for at, value in enumerate(request.values):
            place = f"$.requests[{index}].values[{at}]"
            if problem := unknown_signal(value.signal):
                yield f"{place}.signal: {problem}"
            if value.at + value.size > request.size_bytes:
                yield f"{place}: expected bytes within size_bytes {request.size_bytes}"
            for key in ("scale", "offset"):
                if not _is_number(getattr(value, key)) or (key == "scale" and not Fraction(value.scale)):
                    yield f"{place}.{key}: expected a number or fraction, got {getattr(value, key)!r}"


def _period_problems(periods_s: Mapping[str, float]) -> Iterable[str]:
    for name, period_s in periods_s.items():
        if problem := unknown_signal(name):
            yield f"$.periods_s: {problem}"
        elif period_s > longest_period_s(catalogue().by_name[name]):
            longest_s = longest_period_s(catalogue().by_name[name])
            yield f"$.periods_s.{name}: expected at most {longest_s:g} s, half of what makes it stale, got {period_s:g}"


def longest_period_s(signal: Signal) -> float:
    """The longest period a profile may give a signal: a missed reading must not make it stale."""
    return max(signal.period_s, signal.stale_s / 2)


def _is_number(text: str) -> bool:
    try:
        Fraction(text)
    except (ValueError, ZeroDivisionError):
        return False
    return True
