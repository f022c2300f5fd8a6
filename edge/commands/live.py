"""`milepost live`: the vehicle's values as they come, with their age and the last seconds as a line."""

from collections import deque
from itertools import zip_longest
from pathlib import Path

import click
import msgspec
from rich import box
from rich.console import Group, RenderableType
from rich.live import Live
from rich.table import Table
from rich.text import Text

from edge.commands.loading import load
from edge.commands.output import console, print_json, sign
from edge.control import ask, ask_stream
from edge.status import LiveValue
from sync_protocol.signals import catalogue

_BLOCKS = "▁▂▃▄▅▆▇█"
_HISTORY = 30
_FRAME_LINES = 5  # around the rows of the table
_STRIPES = ("", "on grey7")


@click.command("live")
@click.option("--signal", "signals", multiple=True, metavar="NAME", help="Only these signals; repeatable.")
@click.option("--once", is_flag=True, help="Print once and end.")
@click.option(
    "--json", "as_json", is_flag=True, help="Print JSON: one document with --once, else one line twice a second."
)
@click.pass_obj
def command(path: Path | None, signals: tuple[str, ...], once: bool, as_json: bool) -> None:
    """Watch the values of all signals. Ctrl-C ends it."""
    socket_path = load(path).socket_path
    view = LiveView(signals)
    if once:
        values = view.take(ask(socket_path, "values"))
        if as_json:
            print_json(values)
        else:
            console().print(view.render())
        return
    try:
        if as_json:
            for raw in ask_stream(socket_path, "live"):
                click.echo(msgspec.json.encode(view.take(raw)))
            return
        out = console()
        with Live(view.render(), console=out, screen=True, auto_refresh=False) as screen:
            for raw in ask_stream(socket_path, "live"):
                view.take(raw)
                screen.update(view.render(out.size.height), refresh=True)
    except KeyboardInterrupt:
        return


class LiveView:
    """Keeps the last values of each signal and draws them."""

    def __init__(self, only: tuple[str, ...] = ()) -> None:
        self._only = set(only)
        self._values: list[LiveValue] = []
        self._history: dict[str, deque[float]] = {}

    def take(self, raw: object) -> list[LiveValue]:
        """Take one answer of the agent."""
        values = msgspec.convert(raw, list[LiveValue])
        self._values = [value for value in values if not self._only or value.signal in self._only]
        for value in self._values:
            if not value.is_stale:
                self._history.setdefault(value.signal, deque(maxlen=_HISTORY)).append(value.value)
        return self._values

    def render(self, height_lines: int | None = None) -> RenderableType:
        """The table, or two values a line where a screen of so many lines is too low; stale is dim, old yellow."""
        if not self._values:
            return Text("No values yet. `milepost doctor` says why.", style="yellow")
        stale = sum(value.is_stale for value in self._values)
        told = f"{len(self._values)} signals, {stale} stale. Ctrl-C ends."
        if height_lines is None or len(self._values) + _FRAME_LINES <= height_lines:
            return Group(self._table(), Text(told, style="dim"))
        return Group(self._pairs(height_lines - 1), Text(f"{told} `--signal NAME` shows its line.", style="dim"))

    def _table(self) -> Table:
        out = Table(box=box.SIMPLE_HEAD, pad_edge=False, row_styles=_STRIPES)
        out.add_column("signal")
        out.add_column("value", justify="right")
        out.add_column("unit")
        out.add_column("age", justify="right")
        out.add_column(f"last {_HISTORY // 2} s", min_width=_HISTORY)
        for value in self._values:
            age = "stale" if value.is_stale else f"{value.age_s:.1f} s"
            line = sparkline(list(self._history.get(value.signal, ())))
            style = _style(value)
            out.add_row(
                value.signal, f"[bold]{_number(value)}[/]", sign(value.unit), age, Text(line, style="cyan"), style=style
            )
        return out

    def _pairs(self, most_lines: int) -> Table:
        out = Table.grid(padding=(0, 1), expand=True)
        out.row_styles = _STRIPES
        for justify in ("left", "right", "left") * 2:
            out.add_column(justify=justify, no_wrap=True)
        cells = []
        for value in self._values:
            style = _style(value)
            cells.append(
                (Text(value.signal, style), Text(_number(value), f"bold {style}"), Text(sign(value.unit), style))
            )
        half = min(most_lines, -(-len(cells) // 2))
        for left, right in zip_longest(cells[:half], cells[half : 2 * half], fillvalue=("", "", "")):
            out.add_row(*left, *right)
        return out


def _style(value: LiveValue) -> str:
    return "dim" if value.is_stale else "yellow" if value.age_s > 3 else ""


def _number(value: LiveValue) -> str:
    return f"{value.value:,.{catalogue().by_name[value.signal].decimals}f}"


def sparkline(values: list[float]) -> str:
    """The values as block characters between their least and greatest."""
    if not values:
        return ""
    low, high = min(values), max(values)
    if high == low:
        return _BLOCKS[0] * len(values)
    return "".join(_BLOCKS[min(7, int(8 * (value - low) / (high - low)))] for value in values)
