"""`milepost status`: is everything well, at a glance."""

from pathlib import Path

import click
import msgspec
from rich.markup import escape

from edge.commands.loading import load
from edge.commands.output import console, duration, print_json, size, table
from edge.control import ask
from edge.health import StageHealth
from edge.sensors.base import SensorState
from edge.status import AgentStatus
from edge.uplink.policy import MB, TrafficView

_MARK = {"open": "[green]open[/]", "opening": "[yellow]opening[/]", "closed": "[dim]closed[/]"}


@click.command("status")
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
@click.pass_obj
def command(path: Path | None, as_json: bool) -> None:
    """Show sensors, frames, and the connection to the cloud."""
    raw = ask(load(path).socket_path, "status")
    if as_json:
        print_json(raw)
        return
    _show(msgspec.convert(raw, AgentStatus))


def _show(status: AgentStatus) -> None:
    out = console()
    out.print(
        f"[bold]{status.tenant} / {status.device}[/]  milepost {status.version}, pid {status.pid}, "
        f"up {duration(status.uptime_s)}, {status.memory_mb:.0f} MB"
    )
    clock = f"UTC from {status.utc_source}" if status.utc_ms is not None else "UTC not known yet"
    watched = ", watched: a frame a second" if status.is_watched else ""
    out.print(f"{clock}{watched}" + (f", recording to {status.recording}" if status.recording else ""))
    sensors = table("sensor", "link", "since", "detail")
    for name, state in status.sensors.items():
        since = duration((status.boot_ms - state.since_boot_ms) / 1000)
        about = f"{escape(state.detail)}\n[dim]{escape(_facts(state, status.boot_ms))}[/]"
        sensors.add_row(name, _MARK.get(state.link, f"[red]{state.link}[/]"), since, about)
    out.print(sensors)
    stages = table("stage", "received", "sent", "queued", "dropped", "errors")
    for name, health in (("sampling (samples)", status.sampling), ("outbox (frames)", status.outbox),
                         ("uplink (frames)", status.uplink)):  # fmt: skip
        stages.add_row(name, str(health.received), str(health.sent), str(health.queued), *_lists(health))
    out.print(stages)
    frames = status.frames
    lost = f"[red]{frames.lost} lost[/]" if frames.lost else "0 lost"
    out.print(f"frames: {frames.committed} committed, {frames.acked} acknowledged, {frames.pending} pending, {lost}")
    link = status.link
    ack = f"last acknowledgement {duration((status.boot_ms - link.last_ack_ms) / 1000)} ago" if link.last_ack_ms else (
        "no acknowledgement yet")  # fmt: skip
    color = "green" if link.link == "connected" else "red"
    out.print(
        f"uplink: [{color}]{link.link}[/]{f' ({link.detail})' if link.detail else ''} for "
        f"{duration((status.boot_ms - link.since_ms) / 1000)}, {ack}, "
        f"{size(link.bytes_sent)} sent in {link.frames_sent} frames ({link.frames_sent_again} again)"
    )
    if status.traffic is not None:
        out.print(_traffic(status.traffic))


def _facts(state: SensorState, boot_ms: int) -> str:
    """What the detail does not say already; moments as their age."""
    told = []
    for key, value in state.facts.items():
        name = key.removesuffix("_boot_ms").replace("_", " ")
        if key.endswith("_boot_ms") and isinstance(value, int):
            told.append(f"{name} {duration((boot_ms - value) / 1000)} ago")
        elif value is not None and not (isinstance(value, str) and value in state.detail):
            told.append(f"{name} {value}")
    return ", ".join(told)


def _traffic(traffic: TrafficView) -> str:
    forecast = "" if traffic.forecast_bytes is None else f", forecast {traffic.forecast_bytes / MB:.1f} MB"
    of = "" if traffic.budget_bytes is None else f"of {traffic.budget_bytes / MB:g} "
    words = f"data: {traffic.mode}, {traffic.used_bytes / MB:.1f} {of}MB this month{forecast}"
    if traffic.budget_bytes is None:
        return words
    color, stage = {
        "all": ("green", "within the budget"),
        "tight": ("yellow", "over the budget by the forecast"),
        "events_only": ("red", "budget used up: only frames with events are sent (milepost sync --lift-budget)"),
    }[traffic.stage]
    stage = "budget lifted" if traffic.is_lifted else stage
    return f"{words}, [{color}]{stage}[/]"


def _lists(health: StageHealth) -> tuple[str, str]:
    return (
        ", ".join(f"{count} {reason}" for reason, count in health.dropped.items()) or "0",
        ", ".join(f"{count} {kind}" for kind, count in health.errors.items()) or "0",
    )
