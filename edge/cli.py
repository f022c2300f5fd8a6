"""`milepost`: the device's command line, for installers and technicians. Commands are imported when they are called."""

from collections.abc import Mapping
from importlib import import_module
from importlib.metadata import version
import os
from pathlib import Path
import sys

import click

from sync_protocol.errors import ConfigError, MilepostError, Unavailable

EXIT_CODES = (
    "Exit codes: 0 done; 1 something is wrong, and the output says what; 2 wrong usage; 69 the agent is not running; "
    "78 the configuration is wrong."
)
EXIT_WRONG = 1
EXIT_NO_AGENT = 69

_COMMANDS: Mapping[str, str] = {
    "enroll": "edge.commands.enroll",
    "run": "edge.commands.run",
    "status": "edge.commands.status",
    "live": "edge.commands.live",
    "dtc": "edge.commands.dtc",
    "scan": "edge.commands.scan",
    "doctor": "edge.commands.doctor",
    "sync": "edge.commands.sync",
    "record": "edge.commands.record",
    "replay": "edge.commands.replay",
    "config": "edge.commands.config",
    "simulate": "edge.commands.simulate",
}


class LazyGroup(click.Group):
    """Imports a command's module only when it is asked for: `milepost status` on a Pi must not load numpy."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        """In the order of a technician's day."""
        return list(_COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """The module's `command`."""
        if cmd_name not in _COMMANDS:
            return None
        command = import_module(_COMMANDS[cmd_name]).command
        assert isinstance(command, click.Command)
        return command


@click.group(cls=LazyGroup, context_settings={"help_option_names": ["-h", "--help"]}, epilog=EXIT_CODES)
@click.option(
    "--config",
    "path",
    type=click.Path(path_type=Path),
    help="Configuration file; without it /etc/milepost/device.toml, where that exists.",
)
@click.version_option(version("milepost"), prog_name="milepost")
@click.pass_context
def root(ctx: click.Context, path: Path | None) -> None:
    """Milepost on this device: reads the vehicle, keeps what it read, and brings it to the cloud."""
    ctx.obj = path


def main() -> None:
    """Entry point. Errors that are not bugs end in one line on stderr and an exit code."""
    try:
        code = root.main(standalone_mode=False)
    except click.ClickException as err:
        err.show()
        sys.exit(err.exit_code)
    except click.Abort:
        sys.exit(130)
    except ConfigError as err:
        click.echo(f"milepost: configuration: {err}", err=True)
        sys.exit(ConfigError.exit_code)
    except Unavailable as err:
        click.echo(f"milepost: {err}", err=True)
        sys.exit(EXIT_NO_AGENT)
    except MilepostError as err:
        click.echo(f"milepost: {err}", err=True)
        sys.exit(EXIT_WRONG)
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        sys.exit(0)
    sys.exit(code if isinstance(code, int) else 0)


if __name__ == "__main__":
    main()
