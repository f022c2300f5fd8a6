"""Asks a vehicle what it really answers, how long that takes, and how it wants to be asked: for a profile."""

from collections.abc import AsyncIterator, Collection
import contextlib
import statistics

from edge.sensors.obd.answer import BUS_NAMES
from edge.sensors.obd.decode import by_ecu, raw_values, split_pids
from edge.sensors.obd.errors import AdapterSilent
from edge.sensors.obd.makes import make_of, model_years
from edge.sensors.obd.periods import Cost, choose
from edge.sensors.obd.profile import Match, load_profiles
from edge.sensors.obd.profile_choice import Facts, fit
from edge.sensors.obd.scan_report import ComputerFinding, PidFinding, ScanProgress, ScanReport
from edge.sensors.obd.schedule import FIRST_PIDS, batches
from edge.sensors.obd.vehicle import REQUEST_ERRORS, Vehicle
from sync_protocol.signals import Signal, catalogue

_TRIES = 6  # the first three teach the adapter how many frames an answer has, the others are timed
_TIMED = 3
_GIVE_UP_TRIES = 3
_DOUBT_AFTER = 4  # questions without an answer in a row: is the vehicle still there?
_LONGEST_WAIT_MS = 1020
_WAITS = tuple((timeout_ms, adaptive) for timeout_ms in (400, 720, _LONGEST_WAIT_MS) for adaptive in (None, 0))
_FIRST_YEAR = 1996  # of OBD-II: a VIN's year may as well be the one 30 years later
_ERRORS = (*REQUEST_ERRORS, AdapterSilent)


class Scan:
    """One scan of a vehicle that answers. The agent may go on measuring meanwhile: exchanges take turns."""

    def __init__(self, vehicle: Vehicle) -> None:
        """`vehicle` as `Vehicle.anew` gives it, so that no profile colours what is found."""
        self._vehicle = vehicle
        self._findings: dict[int, PidFinding] = {}
        self._failed_in_a_row = 0
        self._timeout_ms: int | None = None
        self._adaptive: int | None = None

    async def run(self) -> AsyncIterator[ScanProgress | ScanReport]:
        """Progress, and the report in the end. `ObdError` when adapter or vehicle stop answering meanwhile."""
        vehicle = self._vehicle
        announced = sorted(vehicle.owner.keys() & catalogue().by_pid.keys())
        for at, pid in enumerate(announced):
            yield ScanProgress("announced PIDs", at, len(announced))
            self._findings[pid] = await self._announced(pid)
        others = sorted(catalogue().by_pid.keys() - vehicle.owner.keys())
        for at, pid in enumerate(others):
            yield ScanProgress("PIDs that are not announced", at, len(others))
            if (finding := await self._unannounced(pid)) is not None:
                self._findings[pid] = finding
        async for progress in self._wait_longer():
            yield progress
        await vehicle.learn_batching()
        asked = batches(self._answered(), vehicle.owner, vehicle.batch_size) if vehicle.batch_size > 1 else []
        more_ms, failed = [], 0
        for at, batch in enumerate(asked):
            yield ScanProgress("several PIDs in one request", at, len(asked))
            took_ms = await self._batch(batch)
            if took_ms is None:
                failed += 1
            elif len(batch) > 1:
                alone_ms = max(self._findings[pid].answer_ms or 0.0 for pid in batch)
                more_ms.append(max(0.0, took_ms - alone_ms) / (len(batch) - 1))
        yield await self._report(len(asked), failed, statistics.median(more_ms) if more_ms else 0.0)

    async def _announced(self, pid: int) -> PidFinding:
        ecu = f"{self._vehicle.owner[pid]:X}"
        times_ms: list[float] = []
        values: list[dict[str, int]] = []
        lost, reason = 0, ""
        while lost + len(times_ms) < (_TRIES if times_ms else _GIVE_UP_TRIES):
            try:
                answers = await self._vehicle.read((pid,))
            except _ERRORS as err:
                lost, reason = lost + 1, str(err)
                continue
            times_ms.append(self._vehicle.elm.took_s * 1000)
            values.append(_named(pid, answers[pid]))
        if not times_ms:
            await self._note_silence()
            return PidFinding(pid=f"{pid:02X}", ecu=ecu, state="unanswered", lost_count=lost, reason=reason)
        self._failed_in_a_row = 0
        return PidFinding(
            pid=f"{pid:02X}",
            ecu=ecu,
            state="answered",
            answer_ms=round(statistics.median(times_ms[-_TIMED:]), 1),
            slowest_ms=round(max(times_ms), 1),
            lost_count=lost,
            values=_in_units(values[-1]),
            doubtful=_doubtful(values),
            reason=reason,
        )

    async def _note_silence(self) -> None:
        self._failed_in_a_row += 1
        if self._failed_in_a_row % _DOUBT_AFTER == 0:
            await self._vehicle.ask("0100", 0x01)

    async def _unannounced(self, pid: int) -> PidFinding | None:
        """Believed when it was answered twice, by the engine's computer, with the right length."""
        engine = min(self._vehicle.supported)
        values = []
        for _ in range(2):
            try:
                found = by_ecu(await self._vehicle.ask(f"01{pid:02X}", 0x01))
                if engine not in found:
                    return None
                values.append(_named(pid, split_pids(found[engine], (pid,), self._vehicle.pid_sizes)[pid]))
            except REQUEST_ERRORS:
                return None
            except AdapterSilent:
                await self._note_silence()
                return None
        return PidFinding(
            pid=f"{pid:02X}",
            ecu=f"{engine:X}",
            state="unannounced",
            answer_ms=round(self._vehicle.elm.took_s * 1000, 1),
            values=_in_units(values[-1]),
            doubtful=_doubtful(values),
        )

    async def _wait_longer(self) -> AsyncIterator[ScanProgress]:
        """Ask those that gave no answer again, waiting as long as can be; then find out how long is enough."""
        vehicle, doing = self._vehicle, "longer waits for the silent ones"
        silent = [pid for pid, finding in self._findings.items() if finding.reason.startswith("no_data")]
        silent = [pid for pid in silent if self._findings[pid].state == "unanswered"]
        late: list[int] = []
        try:
            if silent:
                await vehicle.elm.tune(0, _LONGEST_WAIT_MS)
            for at, pid in enumerate(silent):
                yield ScanProgress(doing, at, len(silent))
                with contextlib.suppress(*_ERRORS):
                    await vehicle.read((pid,))
                    late.append(pid)
            for at, (timeout_ms, adaptive) in enumerate(_WAITS if late else ()):
                await vehicle.elm.tune(adaptive, timeout_ms)
                self._timeout_ms, self._adaptive = timeout_ms, adaptive
                for pid in late:
                    yield ScanProgress(doing, at, len(_WAITS))
                    self._findings[pid] = await self._announced(pid)
                if all(self._findings[pid].state == "answered" for pid in late):
                    return
        finally:
            await vehicle.elm.tune(vehicle.quirks.adaptive_timing, vehicle.quirks.answer_timeout_ms)

    async def _batch(self, batch: Collection[int]) -> float | None:
        """Milliseconds of a request for all of them; None when one of them was lacking, or the answer was bad."""
        times_ms = []
        for _ in range(_TRIES):
            try:
                answers = await self._vehicle.read(tuple(batch))
            except _ERRORS:
                return None
            if len(answers) < len(batch):
                return None
            times_ms.append(self._vehicle.elm.took_s * 1000)
        return statistics.median(times_ms[-_TIMED:])

    def _answered(self) -> list[int]:
        return [pid for pid, finding in self._findings.items() if finding.state == "answered"]

    async def _report(self, batches_count: int, batches_failed: int, more_ms: float) -> ScanReport:
        vehicle, elm = self._vehicle, self._vehicle.elm
        vin = await _vin(vehicle)
        values = {name: value for finding in self._findings.values() for name, value in finding.values.items()}
        fuel = values.get("fuel_type")
        base, skip, begin_s = _base(vehicle.bus.digit, None if fuel is None else round(fuel))
        batch_size = vehicle.batch_size if batches_failed * 2 <= batches_count else 1
        answered = self._answered()
        signals = [s for pid in answered for s in catalogue().by_pid[pid] if s.name not in skip]
        cost = Cost({pid: self._findings[pid].answer_ms or 0.0 for pid in answered}, more_ms, batch_size, vehicle.owner)
        chosen = choose(signals, begin_s, cost)
        padded = vehicle.bus.is_can and vehicle.padding_ecus >= vehicle.supported.keys()
        return ScanReport(
            wmi=vin and vin[:3],
            make=vin and make_of(vin),
            model_years=tuple(year for year in model_years(vin) if year >= _FIRST_YEAR) if vin else (),
            fuel_type=None if fuel is None else round(fuel),
            engine_rpm=values.get("engine_rpm"),
            protocol=vehicle.bus.digit,
            protocol_name=BUS_NAMES[vehicle.bus.digit],
            adapter=elm.identity,
            battery_v=await elm.voltage_v(),
            computers=[
                ComputerFinding(f"{ecu:X}", [f"{pid:02X}" for pid in sorted(pids) if pid % 0x20])
                for ecu, pids in sorted(vehicle.supported.items())
            ],
            pids=[self._findings[pid] for pid in sorted(self._findings)],
            has_multi_pid=vehicle.memory.has_multi_pid,
            has_frame_count=vehicle.memory.has_frame_count,
            batches_count=batches_count,
            batches_failed=batches_failed,
            is_padded=padded,
            answer_timeout_ms=self._timeout_ms,
            adaptive_timing=self._adaptive,
            pids_per_request=batch_size,
            values_per_s=round(sum(1 / chosen.periods_s[signal.name] for signal in signals), 1),
            base=base,
            skip=tuple(s.name for pid in answered for s in catalogue().by_pid[pid] if s.name in skip),
            periods_s={s.name: chosen.periods_s[s.name] for s in signals if chosen.periods_s[s.name] != s.period_s},
            load=round(chosen.load, 3),
            fits=chosen.fits,
        )


async def _vin(vehicle: Vehicle) -> str | None:
    try:
        return await vehicle.vin()
    except _ERRORS:
        return None  # the profile is then chosen by its name


def _base(protocol: str, fuel_type: int | None) -> tuple[str | None, Collection[str], dict[str, float]]:
    """The shipped profile that fits a vehicle of an unknown maker, what it skips, and its periods."""
    facts = Facts(None, protocol, fuel_type)
    profiles = load_profiles(None)
    fits = {name: score for name, p in profiles.items() if (score := _score(p.match, facts))}
    if not fits:
        return None, (), {}
    best = max(fits, key=lambda name: fits[name])
    return best, profiles[best].skip, dict(profiles[best].periods_s)


def _score(match: Match, facts: Facts) -> int:
    return 0 if match.only_by_name else fit(match, facts) or 0


def _named(pid: int, data: bytes) -> dict[str, int]:
    """Raw integers by signal name."""
    raws = raw_values({pid: data}, catalogue().by_pid[pid])
    return {catalogue().by_id[signal_id].name: raw for signal_id, raw in raws.items()}


def _in_units(raws: dict[str, int]) -> dict[str, float]:
    return {name: catalogue().by_name[name].value(raw) for name, raw in raws.items()}


def _doubtful(values: Collection[dict[str, int]]) -> tuple[str, ...]:
    """Signals that were never anything but filler, or out of range."""
    names = dict.fromkeys(name for own in values for name in own)
    return tuple(
        name for name in names if all(_is_doubtful(catalogue().by_name[name], own.get(name)) for own in values)
    )


def _is_doubtful(signal: Signal, raw: int | None) -> bool:
    if raw is None:
        return True
    bits = signal.bits or 8 * signal.size - signal.shift
    is_filler = bits >= 8 and raw in (-1, (1 << bits) - 1) and signal.pid not in FIRST_PIDS  # full load is a value
    return is_filler or not signal.is_in_range(raw)
