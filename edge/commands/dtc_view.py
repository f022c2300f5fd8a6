"""How the vehicle's diagnosis is shown in a terminal of 80 columns."""

from rich.console import Console
from rich.markup import escape
from rich.table import Table

from edge.commands.output import sign, table
from edge.sensors.obd.report import ClearReport, Code, CodesReport, IdentityReport, InUse, ReadinessReport
from sync_protocol.signals import catalogue

_STATUS = {"stored": "[red]stored[/]", "pending": "[yellow]pending[/]", "permanent": "[magenta]permanent[/]"}
_LAMP = {True: "[red]lamp on[/]", False: "[green]lamp off[/]", None: "lamp not told"}
_CYCLE = {"complete": "[green]complete[/]", "incomplete": "[yellow]incomplete[/]", "disabled": "[dim]not run[/]"}


def codes(out: Console, report: CodesReport) -> None:
    """Codes by computer, what could not be read, lamp and distances, freeze frames."""
    if report.codes:
        out.print(_codes(report.codes))
    for status, reason in report.unread.items():
        out.print(f"[red]{status} codes could not be read:[/] {escape(reason)}")
    if not report.codes and not report.unread:
        out.print("[green]No trouble codes.[/]")
    since = report.since
    told = [_LAMP[report.is_mil_on]]
    if report.is_mil_on and "mil_distance_km" in since:
        told[0] += f" for {since['mil_distance_km']:.0f} km"
        told[0] += f", {since['mil_time_min']:.0f} min" if "mil_time_min" in since else ""
    if "clear_distance_km" in since:
        told.append(f"codes cleared {since['clear_distance_km']:.0f} km ago")
    if "warmups_count" in since:
        told.append(f"{since['warmups_count']:.0f} warm-ups since")
    out.print(", ".join(told))
    for frame in report.freeze_frames:
        out.print(f"\n[bold]Freeze frame[/] of [bold]{frame.code}[/], computer {frame.ecu}:")
        out.print(_values(frame.values))
    if report.freeze_unread:
        out.print(f"[dim]No freeze frame: {escape(report.freeze_unread)}[/]")


def _codes(found: list[Code]) -> Table:
    """One row a code and computer: the same code is often stored and permanent at once."""
    shown = table("code", "status", "computer", "meaning")
    statuses: dict[tuple[str, str, str], list[str]] = {}
    for code in found:
        statuses.setdefault((code.code, code.ecu, code.text), []).append(_STATUS[code.status])
    for (name, ecu, text), status in statuses.items():
        shown.add_row(f"[bold]{name}[/]", "\n".join(status), ecu, text)
    return shown


def _values(values: dict[str, float]) -> Table:
    """Two signals a line."""
    grid = Table.grid(padding=(0, 2))
    for justify in ("left", "right", "left", "left", "right", "left"):
        grid.add_column(justify=justify)
    cells = []
    for name, value in values.items():
        signal = catalogue().by_name[name]
        cells.append((f"  {name}", f"{value:,.{signal.decimals}f}", sign(signal.unit)))
    half = -(-len(cells) // 2)
    for left, right in zip(cells[:half], [*cells[half:], ("", "", "")], strict=False):
        grid.add_row(*left, *right)
    return grid


def readiness(out: Console, report: ReadinessReport) -> None:
    """A table for each computer."""
    for computer in report.computers:
        left = sum(not monitor.is_complete for monitor in computer.monitors)
        verdict = f"[yellow]{left} of {len(computer.monitors)} incomplete[/]" if left else "[green]ready[/]"
        out.print(
            f"[bold]{computer.ecu}[/] ({computer.ignition} ignition): {verdict}, {_LAMP[computer.is_mil_on]}, "
            f"{computer.dtc_count} stored"
        )
        shown = table("  self-test", "since codes were cleared", "this drive cycle")
        for monitor in computer.monitors:
            since = _CYCLE["complete" if monitor.is_complete else "incomplete"]
            shown.add_row(f"  {monitor.name}", since, _CYCLE[monitor.cycle] if monitor.cycle else "[dim]not told[/]")
        out.print(shown)


def identity(out: Console, report: IdentityReport) -> None:
    """VIN and bus, then each computer."""
    out.print(f"[bold]{report.vin or 'VIN not told'}[/]  {report.protocol}")
    for computer in report.computers:
        out.print(f"\n[bold]{computer.ecu}[/] {escape(computer.name or 'name not told')}")
        if computer.calibrations or computer.cvns:
            longest = max(len(computer.calibrations), len(computer.cvns))
            for at in range(longest):
                calibration = computer.calibrations[at] if at < len(computer.calibrations) else "not told"
                cvn = computer.cvns[at] if at < len(computer.cvns) else "not told"
                out.print(f"  calibration [bold]{escape(calibration)}[/]  CVN {cvn}")
        else:
            out.print("  [dim]calibration not told[/]")
        if computer.in_use is not None:
            out.print(_in_use(computer.in_use))
    for what, reason in report.unread.items():
        out.print(f"[red]{what} could not be read:[/] {escape(reason)}")


def _in_use(counted: InUse) -> Table:
    shown = table(
        f"  in use: {counted.ignition_count} starts, {counted.conditions_count} trips that count",
        "completed",
        "possible",
    )
    shown.columns[1].justify = shown.columns[2].justify = "right"
    for monitor in counted.monitors:
        if monitor.conditions_count or monitor.completed_count:
            shown.add_row(f"  {monitor.name}", str(monitor.completed_count), str(monitor.conditions_count))
    return shown


def clearing(out: Console, report: ClearReport) -> None:
    """The result, what each computer refused, and the codes that are still there."""
    marks = {"cleared": "[green]✔ Codes cleared.[/]", "still_set": "[red]✘ Codes are set again.[/]"}
    marks |= {"refused": "[red]✘ Not cleared.[/]", "unconfirmed": "[yellow]! Not confirmed.[/]"}
    out.print(
        marks[report.result] + (f" {escape(report.reason[:1].upper() + report.reason[1:])}." if report.reason else "")
    )
    if report.result != "refused":
        for ecu, reason in report.refused.items():
            out.print(f"  {ecu} refused: {escape(reason)}")
    if report.after:
        out.print(_codes(report.after))
        if any(code.status == "permanent" for code in report.after):
            out.print("Permanent codes stay until the vehicle has seen for itself that the fault is gone.")
