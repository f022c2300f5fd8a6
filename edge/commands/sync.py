"""`milepost sync`: the device's ledger, where every frame is and why one is missing; and what the SIM has paid for."""

from pathlib import Path
from typing import Any

import click
import msgspec
from rich.console import Console

from edge.commands.loading import load
from edge.commands.output import console, print_json, size, table
from edge.control import ask
from edge.ledger_view import LedgerView, StreamView, read_ledger
from edge.outbox.opening import outbox_path
from edge.uplink.policy import MB, TrafficView
from edge.uplink.traffic import KINDS, Bytes
from sync_protocol.errors import Unavailable
from sync_protocol.messages import SeqRange

_MOST_RANGES = 6
_KIND_WORDS = {
    "live": "new frames",
    "event": "frames with events",
    "backlog": "backlog",
    "again": "sent again",
    "pulled": "pulled",
    "hello": "hellos",
    "ack": "acknowledgements",
    "answer": "answers to hellos",
    "command": "commands",
    "overhead": "NATS, TLS, TCP/IP",
}
_STAGE_WORDS = {
    "all": "everything is sent",
    "tight": "[yellow]over it by the forecast: longer bundles, no frame a second[/]",
    "events_only": "[red]used up: only frames with events are sent, the others wait[/]",
}


@click.command("sync")
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
@click.option("--lift-budget", "lifts", is_flag=True, help="Let the SIM's budget not count for the rest of its month.")
@click.pass_obj
def command(path: Path | None, as_json: bool, lifts: bool) -> None:
    """Show every frame's fate and every byte's kind.

    Streams: acknowledged, pending, held and lost frames, with the reason; this works without the agent too. Bytes: by
    kind, of this connection, today and the SIM's month, with the forecast and the budget.
    """
    config = load(path)
    if lifts:
        ask(config.socket_path, "lift_budget")
    is_running = True
    traffic = None
    try:
        traffic = msgspec.convert(ask(config.socket_path, "traffic"), TrafficView)
        ledger = msgspec.convert(ask(config.socket_path, "sync"), LedgerView)
    except Unavailable:
        is_running = False
        ledger = read_ledger(outbox_path(Path(config.state_dir), config.tenant, config.device))
    if as_json:
        spent = None if traffic is None else _named(traffic)
        print_json({"is_agent_running": is_running, **msgspec.to_builtins(ledger), "traffic": spent})
        return
    out = console()
    if not is_running:
        out.print("[yellow]The agent is not running; this is what the outbox file says.[/]")
    streams = table("stream", "began as", "last", "acknowledged", "pending", "on disk", "forked", "lost")
    for stream in ledger.streams:
        streams.add_row(
            f"{'[green]●[/] ' if stream.is_active else '  '}{stream.stream_id[:8]}",
            stream.cause,
            str(stream.last_seq),
            *(_ranges(ranges) for ranges in (stream.acked, stream.pending, stream.held, stream.forked)),
            _lost(stream),
        )
    out.print(streams)
    out.print(
        f"{ledger.committed} frames committed: {ledger.acked} acknowledged, {ledger.pending} pending, "
        f"{ledger.forked} forked, [{'red' if ledger.lost else 'green'}]{ledger.lost} lost[/]"
    )
    if traffic is not None:
        _show_traffic(out, traffic)


def _named(traffic: TrafficView) -> dict[str, Any]:
    """For machines, bytes by name instead of by place."""
    plain: dict[str, Any] = msgspec.to_builtins(traffic)
    for period in ("connection", "today", "month"):
        plain[period] = {kind: {"up": up, "down": down} for kind, (up, down) in plain[period].items()}
    return plain


def _show_traffic(out: Console, traffic: TrafficView) -> None:
    made = table("bytes up / down", "this connection", "today", "this month")
    periods = (traffic.connection, traffic.today, traffic.month)
    for kind in KINDS:
        if any(kind in period for period in periods):
            made.add_row(_KIND_WORDS[kind], *(_both(period.get(kind, Bytes())) for period in periods))
    made.add_row(
        "[bold]all[/]",
        *(_both(Bytes(sum(b.up for b in p.values()), sum(b.down for b in p.values()))) for p in periods),
    )
    out.print(made)
    if not traffic.is_measured:
        out.print("[yellow]Not counted at the socket: payload only.[/]")
    waits = f", frames wait up to {traffic.bundle_s:.0f} s for each other" if traffic.bundle_s else ""
    out.print(f"mode: [bold]{traffic.mode}[/] ({traffic.why}){waits}")
    forecast = "not known yet" if traffic.forecast_bytes is None else f"{traffic.forecast_bytes / MB:.1f} MB"
    began = f" since {traffic.month_began}" if traffic.month_began else ", whose begin no clock has told yet"
    out.print(f"month: {traffic.used_bytes / MB:.1f} MB used{began}, forecast {forecast}")
    if traffic.budget_bytes is None:
        out.print("budget: none")
        return
    words = "[yellow]lifted for this month[/]" if traffic.is_lifted else _STAGE_WORDS[traffic.stage]
    reserve = f"the last {traffic.reserve_bytes / MB:g} MB for events"
    out.print(f"budget: {traffic.budget_bytes / MB:g} MB a month, {reserve}; {words}")


def _both(bytes_: Bytes) -> str:
    return f"{size(bytes_.up)} / {size(bytes_.down)}"


def _ranges(ranges: tuple[SeqRange, ...]) -> str:
    shown = [str(a) if a == b else f"{a}-{b}" for a, b in ranges[:_MOST_RANGES]]
    if len(ranges) > _MOST_RANGES:
        shown.append(f"+{len(ranges) - _MOST_RANGES} more")
    return ", ".join(shown) or "-"


def _lost(stream: StreamView) -> str:
    shown = [
        f"{gap.first}-{gap.last} {gap.reason}{'' if gap.is_told else ' (to be told)'}"
        for gap in stream.lost[:_MOST_RANGES]
    ]
    if len(stream.lost) > _MOST_RANGES:
        shown.append(f"+{len(stream.lost) - _MOST_RANGES} more")
    return ", ".join(shown) or "-"
