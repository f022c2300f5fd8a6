"""`milepost-cloud`: the service and its administration.

Exit codes: 0 done, 1 the answer is bad news (verify found a fault, a replay left entries), 2 wrong usage,
65 the input is no good, 69 something is not available, 78 the configuration is wrong.
"""

import asyncio
from collections.abc import Callable, Coroutine
from datetime import UTC, datetime, timedelta
from importlib import import_module
from importlib.util import find_spec
import json
import os
from pathlib import Path
import sys
from typing import Any, TypeVar

import click
import msgspec

from cloud.config import CloudConfig
from cloud.ops.logs import configure_logs
from cloud.origin import Origin, acting, operator_agent
from sync_protocol.config import load_config
from sync_protocol.errors import ConfigError, Invalid, MilepostError, Rejected, Unavailable

T = TypeVar("T")
BAD_NEWS, BAD_INPUT, UNAVAILABLE = 1, 65, 69
IMPORT_PATIENCE = timedelta(seconds=30)


class Settings(msgspec.Struct, frozen=True):
    """What stands before the command: where the configuration is, and how to answer."""

    path: Path | None
    level: str
    data_dir: Path | None

    def load(self) -> CloudConfig:
        """The configuration, with the options of the command line on top."""
        config = load_config(CloudConfig, self.path, os.environ)
        return config if self.data_dir is None else msgspec.structs.replace(config, data_dir=self.data_dir)


_ELSEWHERE = {
    "audit": "cloud.commands.audit",
    "broker": "cloud.commands.identity",
    "init": "cloud.commands.identity",
    "certificate": "cloud.commands.identity",
    "claim": "cloud.commands.claims",
    "doctor": "cloud.commands.doctor",
    "tenant": "cloud.commands.people",
    "user": "cloud.commands.people",
}
"""Commands in modules of their own, where they have the same name."""


class Group(click.Group):
    """Turns our errors into one line and an exit code."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        """Also those that are imported only when they are asked for."""
        return sorted([*super().list_commands(ctx), *_ELSEWHERE]) if self is main else super().list_commands(ctx)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """From its module, if it is elsewhere."""
        if self is not main or cmd_name not in _ELSEWHERE:
            return super().get_command(ctx, cmd_name)
        command = getattr(import_module(_ELSEWHERE[cmd_name]), cmd_name)
        assert isinstance(command, click.Command)
        return command

    def invoke(self, ctx: click.Context) -> Any:
        """Run a command."""
        try:
            return super().invoke(ctx)
        except MilepostError as err:
            return _fail(err)
        except ExceptionGroup as group:
            # A stage that failed, out of its task group; with a bug among them the trace says more than a line.
            ours, bugs = group.split(MilepostError)
            if bugs is not None or ours is None:
                raise
            return _fail(_first(ours))


def _first(group: ExceptionGroup[MilepostError]) -> MilepostError:
    error = group.exceptions[0]
    return _first(error) if isinstance(error, ExceptionGroup) else error


def _fail(error: MilepostError) -> None:
    click.echo(f"milepost-cloud: {error}", err=True)
    if isinstance(error, ConfigError):
        sys.exit(ConfigError.exit_code)
    sys.exit(BAD_INPUT if isinstance(error, (Rejected, Invalid)) else UNAVAILABLE)


as_json = click.option("--json", "as_json", is_flag=True, help="Answer in JSON.")


@click.group(cls=Group)
@click.option("--config", "path", type=click.Path(path_type=Path), envvar="MILEPOST_CLOUD_CONFIG", help="TOML file.")
@click.option("--data-dir", type=click.Path(path_type=Path), help="Instead of the configuration's data_dir.")
@click.option("--log-level", default="info", type=click.Choice(["debug", "info", "warning", "error"]))
@click.version_option(package_name="milepost")
@click.pass_context
def main(ctx: click.Context, path: Path | None, data_dir: Path | None, log_level: str) -> None:
    """The cloud service of Milepost and its administration."""
    ctx.obj = Settings(path, log_level, data_dir)
    if ctx.invoked_subcommand != "serve":
        who = Origin("operator", operation=str(ctx.invoked_subcommand), agent=operator_agent())
        ctx.with_resource(acting(who))


@main.command()
@click.option(
    "--port", type=click.IntRange(0, 65_535), help="Instead of the configuration's listen.port; 0: a free one."
)
@click.option("--demo", is_flag=True, help="Open to everybody on this machine: no log-in, no enrolment.")
@click.pass_obj
def serve(settings: Settings, port: int | None, demo: bool) -> None:
    """Run the service: broker, ingest, store, API and web app in one process."""
    from cloud import app

    config = settings.load()
    config = msgspec.structs.replace(config, demo=config.demo or demo)
    if port is not None:
        config = msgspec.structs.replace(config, listen=msgspec.structs.replace(config.listen, port=port))
    configure_logs(settings.level)
    _run(lambda: app.serve(config))


@main.command()
@click.option("--revision", default="head", show_default=True, help="Revision of the relational side, or `base`.")
@as_json
@click.pass_obj
def migrate(settings: Settings, revision: str, as_json: bool) -> None:
    """Bring both stores up to date (`serve` does so by itself), or take the relational side to a revision."""
    from cloud import app
    from cloud.db import migrate as migrations
    from cloud.db.engine import make_engine
    from cloud.telemetry.store import TelemetryStore

    config = settings.load()
    configure_logs("warning")
    config.data_dir.mkdir(parents=True, exist_ok=True, mode=0o700)
    with app.lock_directory(config.data_dir):
        engine = make_engine(app.database_url(config))
        known = migrations.current(engine)
        if revision == "base" or (revision != "head" and known is not None and revision < known):
            migrations.downgrade(engine, revision)
        else:
            migrations.upgrade(engine, revision)
        at = migrations.current(engine)
        engine.dispose()
        store = TelemetryStore(config.data_dir / "telemetry.duckdb", config.telemetry)
        store.open()
        store.close()
    _show({"from": known, "to": at}, as_json, f"relational side: {known or 'empty'} -> {at or 'empty'}; store: current")


@main.command("import")
@click.argument("files", nargs=-1, required=True, type=click.Path(exists=True, dir_okay=False, path_type=Path))
@click.option("--tenant", help="Whose history; a demo has one tenant only.")
@click.option("--name", help="The import's device and vehicle become `import-<name>`; without: from the content.")
@click.option("--columns", type=click.Path(exists=True, dir_okay=False, path_type=Path), help="TOML: column to signal.")
@click.option("--time", "time_column", help="Column of instants; without: ts, time, timestamp or utc.")
@click.option("--start", help="Instant of the first row, for files without times: ISO 8601.")
@click.option("--period-s", default=1.0, show_default=True, type=click.FloatRange(min=0.001), help="Seconds a row.")
@as_json
@click.pass_obj
def import_recordings(
    settings: Settings,
    files: tuple[Path, ...],
    tenant: str | None,
    name: str | None,
    columns: Path | None,
    time_column: str | None,
    start: str | None,
    period_s: float,
    as_json: bool,
) -> None:
    """Bring recordings (CSV, CSV.gz) into history, as frames through the ordinary path. Twice is once."""
    from cloud.ops.importing import import_files
    from cloud.ops.recording import load_mapping, load_recording

    config = settings.load()
    configure_logs("warning")
    mapping = load_mapping(columns)
    if time_column is not None:
        mapping = msgspec.structs.replace(mapping, time=time_column)
    begin = None if start is None else _instant(start)
    recordings = [(path, load_recording(path, mapping, begin, period_s)) for path in files]
    if tenant is None and not config.demo:
        raise click.UsageError("--tenant: expected the name of the company whose history it is")
    done = _run(lambda: import_files(config, recordings, tenant or config.registry.tenant, name, IMPORT_PATIENCE))
    lines = [
        f"{item.file}: {item.samples} samples in {item.frames} frames, {item.frames_new} of them new,"
        f" as {item.device} from {item.start}"
        + (f"; columns left out: {', '.join(item.ignored_columns)}" if item.ignored_columns else "")
        for item in done
    ]
    _show(msgspec.to_builtins(done), as_json, "\n".join(lines))


@main.group()
def quarantine() -> None:
    """What could not be read: list it, try it again."""


@quarantine.command("list")
@as_json
@click.pass_obj
def quarantine_list(settings: Settings, as_json: bool) -> None:
    """List what was set aside, latest first."""
    from cloud.ops.control import ControlClient, Quarantined

    config = settings.load()
    configure_logs("warning")
    client = ControlClient(config.data_dir)
    if client.is_running():
        found = client.ask("GET", "/quarantine", list[Quarantined])
    else:
        found = _run(lambda: _offline(config, lambda admin: admin.quarantined()))
    lines = [
        f"{q.id}  {q.device}  {q.kind}  seq {q.seq if q.seq is not None else '-'}  {q.size_bytes} B"
        f"  x{q.times}  {q.last_seen}  {q.reason}"
        for q in found
    ]
    _show(msgspec.to_builtins(found), as_json, "\n".join(lines) or "quarantine is empty")


@quarantine.command("replay")
@click.argument("ids", nargs=-1, type=int)
@as_json
@click.pass_obj
def quarantine_replay(settings: Settings, ids: tuple[int, ...], as_json: bool) -> None:
    """Put entries (without ids: all but forks) through ingest again; those that are stored then leave quarantine."""
    from cloud.ops.control import ControlClient, Replay, Replayed

    config = settings.load()
    configure_logs("warning")
    client = ControlClient(config.data_dir)
    if client.is_running():
        done = client.ask("POST", "/quarantine/replay", Replayed, Replay(list(ids)))
    else:
        done = _run(lambda: _with_stages(config, list(ids)))
    _show(
        msgspec.to_builtins(done), as_json, f"{done.replayed} tried again, {done.stored} stored, {done.kept} still here"
    )
    if done.kept:
        sys.exit(BAD_NEWS)


@main.command()
@as_json
@click.pass_obj
def verify(settings: Settings, as_json: bool) -> None:
    """Compare frames, ledger and samples: each frame once, each sample once."""
    from cloud.ops.control import ControlClient, Verdict

    config = settings.load()
    configure_logs("warning")
    client = ControlClient(config.data_dir)
    if client.is_running():
        verdict = client.ask("GET", "/verify", Verdict)
    else:
        verdict = _run(lambda: _offline(config, lambda admin: admin.verify()))
    figures = ", ".join(f"{number} {name}" for name, number in verdict.figures.items())
    head = "consistent" if verdict.is_consistent else "NOT consistent"
    _show(msgspec.to_builtins(verdict), as_json, "\n".join([f"{head}: {figures}", *verdict.faults]))
    if not verdict.is_consistent:
        sys.exit(BAD_NEWS)


@main.group("config")
def config_group() -> None:
    """The configuration."""


@config_group.command("check")
@as_json
@click.pass_obj
def config_check(settings: Settings, as_json: bool) -> None:
    """Check the configuration and show what is in force."""
    from cloud.deployment import check_demo

    config = settings.load()
    check_demo(config)
    plain = msgspec.to_builtins(config, enc_hook=str)
    _show(plain, as_json, json.dumps(plain, indent=2))


def _instant(text: str) -> datetime:
    try:
        when = datetime.fromisoformat(text)
    except ValueError:
        raise Rejected(f"--start: expected an instant such as 2026-03-01T12:00:00Z, got {text!r}") from None
    return when if when.tzinfo else when.replace(tzinfo=UTC)


def _show(value: Any, as_json: bool, plain: str) -> None:
    click.echo(json.dumps(value) if as_json else plain)


def _run(work: Callable[[], Coroutine[Any, Any, T]]) -> T:
    with asyncio.Runner(loop_factory=_loop) as runner:
        return runner.run(work())


def _loop() -> asyncio.AbstractEventLoop:
    """uvloop where it is installed: a tenth to a half faster on the broker's socket."""
    if find_spec("uvloop") is None:
        return asyncio.new_event_loop()
    from uvloop import new_event_loop

    return new_event_loop()


async def _offline(config: CloudConfig, ask: Callable[[Any], Coroutine[Any, Any, T]]) -> T:
    """Ask the stores themselves, under the exclusive lock, because no service runs."""
    from cloud import app

    if not config.data_dir.is_dir():
        raise Unavailable(f"{config.data_dir}: no data here; --data-dir or $.data_dir says where it is")
    cloud = app.Cloud(config)
    try:
        cloud.open_stores()
        return await ask(cloud.admin())
    finally:
        cloud.close()


async def _with_stages(config: CloudConfig, ids: list[int]) -> Any:
    from cloud import app

    cloud = app.Cloud(config)
    try:
        cloud.open()
        async with cloud.stages():
            return await cloud.admin(cloud.ingest).replay(ids)
    finally:
        cloud.close()


if __name__ == "__main__":
    main()
