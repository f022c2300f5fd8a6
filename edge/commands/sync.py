"""`milepost sync`: the device's ledger. Where is every frame, and why is one missing?"""

from pathlib import Path

import click
import msgspec

from edge.commands.loading import load
from edge.commands.output import console, print_json, table
from edge.control import ask
from edge.ledger_view import LedgerView, StreamView, read_ledger
from edge.outbox.opening import outbox_path
from sync_protocol.errors import Unavailable
from sync_protocol.messages import SeqRange

_MOST_RANGES = 6


@click.command("sync")
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
@click.pass_obj
def command(path: Path | None, as_json: bool) -> None:
    """Show every stream: acknowledged, pending, held and lost frames, with the reason. Works without the agent too."""
    config = load(path)
    is_running = True
    try:
        ledger = msgspec.convert(ask(config.socket_path, "sync"), LedgerView)
    except Unavailable:
        is_running = False
        ledger = read_ledger(outbox_path(Path(config.state_dir), config.tenant, config.device))
    if as_json:
        print_json({"is_agent_running": is_running, **msgspec.to_builtins(ledger)})
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
