"""How a scan is shown in a terminal of 80 columns."""

from pathlib import Path

from rich.console import Console
from rich.markup import escape
from rich.table import Table

from edge.commands.output import sign, table
from edge.sensors.obd.profile_writing import fuel_text
from edge.sensors.obd.scan_report import PidFinding, ScanReport
from sync_protocol.signals import catalogue


def report(out: Console, found: ScanReport) -> None:
    """Vehicle and computers, each PID, and what the bus has time for."""
    out.print(_heading(found))
    out.print(_table(found))
    for computer in found.computers:
        ours = sum(int(pid, 16) in catalogue().by_pid for pid in computer.pids)
        out.print(f"Computer [bold]{computer.ecu}[/] announces {len(computer.pids)} PIDs, {ours} of them known to us.")
    out.print(_speed(found))
    if not found.engine_rpm:
        out.print("[yellow]The engine is off.[/] Some PIDs answer only while it runs: scan again then.")
    if found.found("unanswered"):
        out.print("[yellow]Announced but never answered:[/] the profile skips them.")
    if found.found("unannounced"):
        out.print("[yellow]Not announced but answered:[/] left out; the profile's comments say how to add them.")
    if {name for finding in found.pids for name in finding.doubtful} - set(found.skip):
        out.print("[yellow]?[/] Filler or impossible in every answer: see the profile's comments.")


def _heading(found: ScanReport) -> str:
    who = " ".join(part for part in (found.make or "Make not known", fuel_text(found)) if part)
    vin = f"VIN begins {found.wmi}" if found.wmi else "VIN not told"
    volts = "" if found.battery_v is None else f", {found.battery_v:.1f} V"
    return f"[bold]{who}[/]  {vin}  {found.protocol_name}\n{escape(found.adapter)}{volts}"


def _table(found: ScanReport) -> Table:
    shown = table("PID", "from", "answer", "every", "signals and their last values")
    shown.columns[2].justify = shown.columns[3].justify = "right"
    for finding in found.pids:
        if finding.state == "unanswered":
            names = ", ".join(signal.name for signal in catalogue().by_pid[int(finding.pid, 16)])
            shown.add_row(finding.pid, finding.ecu, "[red]none[/]", "-", f"[dim]{names}[/]")
        else:
            answer = f"{finding.answer_ms:.0f} ms" + (
                f" [yellow]-{finding.lost_count}[/]" if finding.lost_count else ""
            )
            shown.add_row(finding.pid, finding.ecu, answer, _every(found, finding), _values(found, finding))
    return shown


def _every(found: ScanReport, finding: PidFinding) -> str:
    if finding.state == "unannounced":
        return "[yellow]ask?[/]"
    signals = [signal for signal in catalogue().by_pid[int(finding.pid, 16)] if signal.name not in found.skip]
    periods = sorted({found.periods_s.get(signal.name, signal.period_s) for signal in signals})
    return "/".join(f"{period_s:g}" for period_s in periods) + " s" if periods else "[dim]skipped[/]"


def _values(found: ScanReport, finding: PidFinding) -> str:
    """One signal a line."""
    lines = []
    for signal in catalogue().by_pid[int(finding.pid, 16)]:
        value = finding.values.get(signal.name)
        told = "[dim]no value[/]"
        if value is not None:
            told = f"{value:,.{signal.decimals}f} {sign(signal.unit)}".rstrip()
        mark = " [yellow]?[/]" if signal.name in finding.doubtful and value is not None else ""
        name = f"[dim]{signal.name} skipped[/]" if signal.name in found.skip else f"{signal.name} {told}{mark}"
        lines.append(name)
    return "\n".join(lines)


def _speed(found: ScanReport) -> str:
    asked = "one PID" if found.pids_per_request == 1 else f"up to {found.pids_per_request} PIDs"
    text = f"{found.values_per_s:g} values a second, {asked} a request: the bus is busy {found.load:.0%} of the time."
    if not found.fits:
        return f"[yellow]{text}[/]\nThat is more than it has: the speed keeps its period, the rest takes turns."
    return text


def written(out: Console, found: ScanReport, target: Path, profile_dir: str | None) -> None:
    """Where the profile is, and what makes the agent use it."""
    out.print(f"[green]✔[/] Profile written to [bold]{escape(str(target))}[/]. Read its comments.", soft_wrap=True)
    folder = target.absolute().parent
    steps = []
    if profile_dir is None or Path(profile_dir).absolute() != folder:
        steps.append(f'profile_dir = "{folder}"')
    if not found.wmi:
        steps.append(f'profile = "{target.stem}"')
    if steps:
        out.print("To use it, write under \\[obd] in the device's configuration:", soft_wrap=True)
        for step in steps:
            out.print(f"  {escape(step)}", soft_wrap=True)
    out.print("The agent reads profiles when it starts: systemctl restart milepost.")


def unreached(out: Console, reason: str, *, is_asleep: bool) -> None:
    """Why there is no report, and what mends it."""
    out.print(f"[red]✘[/] {escape(reason)}", soft_wrap=True)
    if is_asleep:
        out.print("Switch the ignition on, better start the engine, wait half a minute and scan again.")
    else:
        out.print("Is the adapter plugged in, and the port its own? Only one program can hold it.")
