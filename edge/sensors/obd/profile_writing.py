"""Writes the profile that a scan has found, with a comment wherever a person must decide."""

from collections.abc import Iterable, Iterator
import json
import re

from edge.sensors.obd.profile import parse_profile
from edge.sensors.obd.scan_report import PidFinding, ScanReport
from sync_protocol.signals import catalogue

_FUELS = {1: "petrol", 3: "ethanol", 4: "diesel", 5: "LPG", 6: "CNG", 8: "electric"}
_HYBRIDS = range(16, 23)


def profile_name(report: ScanReport) -> str:
    """A name for the file, without its ending: `ford_wf0_diesel`; `scanned` when the vehicle tells nothing."""
    parts = (report.make, report.wmi, fuel_text(report))
    return re.sub(r"[^a-z0-9]+", "_", "_".join(part for part in parts if part).lower()) or "scanned"


def fuel_text(report: ScanReport) -> str:
    """The fuel in a word; empty when it is not told."""
    if report.fuel_type in _HYBRIDS:
        return "hybrid"
    return _FUELS.get(report.fuel_type or 0, "")


def profile_toml(report: ScanReport) -> str:
    """The profile as TOML. It has been through `parse_profile`: the agent takes it as it is."""
    text = "\n".join(_lines(report)) + "\n"
    parse_profile(text, "the profile of this scan")
    return text


def _lines(report: ScanReport) -> Iterator[str]:
    who = " ".join(
        part for part in (report.make or report.wmi or "A vehicle of an unknown maker", fuel_text(report)) if part
    )
    answered, announced = len(report.found("answered")), len(report.found("answered")) + len(report.found("unanswered"))
    yield "# Made by `milepost scan`. Lines that begin with #? are for a person to decide: uncomment what is right."
    yield f"text = {_quoted(who)}"
    source = (
        f"milepost scan of one vehicle ({report.wmi or 'no VIN'}), {report.protocol_name}, {report.adapter}: "
        f"{answered} of {announced} announced PIDs answered"
    )
    yield f"source = {_quoted(source)}"
    yield from _pids(report)
    yield from _skipped(report)
    yield ""
    yield from _match(report)
    yield ""
    yield from _quirks(report)
    yield ""
    yield from _periods(report)


def _pids(report: ScanReport) -> Iterator[str]:
    if silent := report.found("unanswered"):
        yield ""
        yield "# Announced, and never answered."
        if not report.engine_rpm:
            yield "# The engine was off: scan again with it running before you believe this."
        yield f"pids_to_skip = {_list(finding.pid for finding in silent)}"
    if extra := report.found("unannounced"):
        yield ""
        yield "# Not announced, and yet answered. Compare with the dashboard or a tester before you believe a value:"
        for finding in extra:
            yield f"#   {finding.pid}: {_values(finding)}"
        yield f"#? pids_to_ask = {_list(finding.pid for finding in extra)}"


def _skipped(report: ScanReport) -> Iterator[str]:
    doubtful = [name for finding in report.found("answered") for name in finding.doubtful if name not in report.skip]
    if report.skip:
        yield ""
        yield f"# As the shipped profile {report.base}."
        yield f"skip = {_list(report.skip)}"
    if doubtful:
        yield ""
        yield "# Filler in every answer (all bits set, or not possible). Skip what stays so while driving:"
        yield f"#? skip = {_list([*report.skip, *doubtful])}"


def _match(report: ScanReport) -> Iterator[str]:
    yield "[match]"
    if report.wmi:
        yield f"wmis = {_list([report.wmi])} # all vehicles of this maker's that also fit what follows"
    yield f'protocols = "{report.protocol}" # {report.protocol_name}'
    if report.fuel_type is not None:
        yield f"fuel_types = [{report.fuel_type}]" + (f" # {fuel_text(report)}" if fuel_text(report) else "")
    for year in report.model_years:
        yield f"#? model_years = [{year}, {year}]"
    if report.wmi:
        yield "#? only_by_name = true # other models of the maker's differ: [obd] profile names this one then"
    else:
        yield "only_by_name = true # the vehicle does not tell its VIN: [obd] profile must name this one"


def _quirks(report: ScanReport) -> Iterator[str]:
    yield "[quirks]"
    yield f'protocol = "{report.protocol}"'
    if report.batches_failed * 2 > report.batches_count:
        yield f"has_multi_pid = false # {report.batches_failed} of {report.batches_count} requests for several failed"
    elif report.has_multi_pid is False:
        yield "#? has_multi_pid = false # not with this adapter; the agent finds that out by itself with any other"
    if report.has_frame_count is False:
        yield "#? has_frame_count = false # not with this adapter; the agent finds that out by itself with any other"
    if report.answer_timeout_ms is not None:
        yield f"answer_timeout_ms = {report.answer_timeout_ms} # some PIDs answered only when waited for that long"
    if report.adaptive_timing is not None:
        yield f"adaptive_timing = {report.adaptive_timing} # and not while the adapter shortened the wait by itself"
    if report.is_padded:
        yield "#? is_padded = true # every computer filled its frames up; a model that does not would not be read"


def _periods(report: ScanReport) -> Iterator[str]:
    yield "[periods_s]"
    yield f"# The bus is busy {report.load:.0%} of the time for {report.values_per_s:g} values/s."
    if not report.fits:
        yield "# Too much: the agent keeps the period of the speed, the rest takes turns. Skip what you can spare."
    yield "# Signals that are not here are read as often as the catalogue says."
    for name, period_s in report.periods_s.items():
        yield f"{name} = {period_s:g}"


def _values(finding: PidFinding) -> str:
    told = []
    for name, value in finding.values.items():
        signal = catalogue().by_name[name]
        mark = " (doubtful)" if name in finding.doubtful else ""
        told.append(f"{name} {value:.{signal.decimals}f} {signal.unit}".rstrip() + mark)
    return ", ".join(told) or "no value"


def _list(names: Iterable[str]) -> str:
    return "[" + ", ".join(_quoted(name) for name in names) + "]"


def _quoted(text: str) -> str:
    """A basic string of TOML, which takes JSON's escapes. Adapters say strange things: one line, ASCII."""
    return json.dumps(text)
