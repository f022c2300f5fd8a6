"""`milepost scan`: what does this vehicle answer, and how fast? Writes a profile of it."""

import asyncio
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
import sys
from typing import Any

import click
import msgspec
from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn

from edge.commands import scan_view
from edge.commands.loading import load
from edge.commands.output import console, print_json
from edge.config import DEFAULT_PATH, DeviceConfig
from edge.control import ask, ask_stream
from edge.sensors.obd.config import ObdConfig
from edge.sensors.obd.profile_writing import profile_name, profile_toml
from edge.sensors.obd.scan_report import ScanProgress, ScanReport
from sync_protocol.errors import Unavailable

Tell = Callable[[ScanProgress], None]


@click.command("scan")
@click.option("--port", help="Scan behind this port instead of the configured one; needs no configuration.")
@click.option("--output", "-o", type=click.Path(path_type=Path, dir_okay=False), metavar="FILE",
              help="The profile [default: MAKE_WMI_FUEL.toml in [obd] profile_dir, or here].")  # fmt: skip
@click.option("--force", is_flag=True, help="Overwrite FILE.")
@click.option("--json", "as_json", is_flag=True, help="Print the report as JSON instead of tables.")
@click.pass_context
def command(ctx: click.Context, port: str | None, output: Path | None, force: bool, as_json: bool) -> None:
    """Ask the vehicle which PIDs each computer answers and how fast, and write a profile for it.

    Through the running agent, which goes on measuring; without one, through the port itself. Let the engine run. It
    takes about a minute.
    """
    path: Path | None = ctx.obj
    _refuse(output, force)
    config = None if port and path is None and not DEFAULT_PATH.exists() else load(path)
    obd = config.obd if config else ObdConfig()
    with _progress(is_shown=not as_json) as tell:
        if config is not None and _is_agents(config, port) and _runs(config):
            raw = _through_agent(config, tell)
        else:
            raw = asyncio.run(_through_port(msgspec.structs.replace(obd, port=port or obd.port), tell))
    if "unreached" in raw:
        if as_json:
            print_json(raw)
        else:
            scan_view.unreached(console(), raw["unreached"], is_asleep=raw["is_asleep"])
        ctx.exit(1)
    report = msgspec.convert(raw, ScanReport)
    target = output or Path(obd.profile_dir or ".") / f"{profile_name(report)}.toml"
    if as_json:
        print_json(raw | {"profile": str(target)})
    else:
        scan_view.report(console(), report)
    _refuse(target, force)
    try:
        target.write_text(profile_toml(report), encoding="utf-8")
    except OSError as err:
        raise click.ClickException(f"{target}: {err.strerror}") from err
    if not as_json:
        scan_view.written(console(), report, target, obd.profile_dir)


def _refuse(target: Path | None, force: bool) -> None:
    if target is not None and target.exists() and not force:
        raise click.ClickException(f"{target} is there already: --force overwrites it, -o names another file")


def _is_agents(config: DeviceConfig, port: str | None) -> bool:
    return config.obd.enabled and config.replay is None and port in (None, config.obd.port)


def _runs(config: DeviceConfig) -> bool:
    try:
        ask(config.socket_path, "status")
    except Unavailable:
        return False
    return True


def _through_agent(config: DeviceConfig, tell: Tell) -> dict[str, Any]:
    for raw in ask_stream(config.socket_path, "scan"):
        if "doing" not in raw:
            assert isinstance(raw, dict)
            return raw
        tell(msgspec.convert(raw, ScanProgress))
    raise Unavailable("the agent ended before the scan did")


async def _through_port(config: ObdConfig, tell: Tell) -> dict[str, Any]:
    from edge.scanning import scan_port

    async for item in scan_port(config):
        if not isinstance(item, ScanProgress):
            raw = msgspec.to_builtins(item)
            assert isinstance(raw, dict)
            return raw
        tell(item)
    raise AssertionError


@contextmanager
def _progress(*, is_shown: bool) -> Iterator[Tell]:
    """A line on the terminal that vanishes in the end; nothing where there is no terminal."""
    out = Console(stderr=True)
    columns = (TextColumn("{task.description}"), BarColumn(bar_width=20), TextColumn("{task.completed}/{task.total}"))
    with Progress(*columns, console=out, transient=True, disable=not (is_shown and sys.stderr.isatty())) as bar:
        task = bar.add_task("connecting", total=None)

        def tell(progress: ScanProgress) -> None:
            bar.update(task, description=progress.doing, completed=progress.done, total=progress.total)

        yield tell
