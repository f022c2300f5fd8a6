"""`milepost enroll`: this device comes in, with a claim code."""

from pathlib import Path
import socket

import click

from edge.clock import BUILT_UTC_MS, SystemClock
from edge.commands.loading import load_file
from edge.commands.output import print_json
from edge.control import ask
from edge.uplink.tls import KnownTime
from sync_protocol.enrolment import read_code
from sync_protocol.errors import ConfigError, Unavailable


@click.command("enroll")
@click.argument("claim")
@click.argument("code", required=False)
@click.option("--name", help="What the device would like to be called; without: the name of this machine.")
@click.option("--ca", "ca_file", type=click.Path(path_type=Path), help="PEM file of the authority of the cloud.")
@click.option("--wipe", is_flag=True, help="Erase what was measured for others; without, it stays here, sealed.")
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
@click.pass_obj
def command(
    path: Path | None, claim: str, code: str | None, name: str | None, ca_file: Path | None, wipe: bool, as_json: bool
) -> None:
    """Come in: with the line of a QR code, or the address of the cloud and a claim code.

    The device makes its own key, which never leaves it. Run it again after a failure: the code is used up only once.
    """
    from edge.enrolment import EnrolmentClient, read_claim
    from edge.identity import Identity, begin, write_identity
    from edge.outbox.opening import outbox_path

    config = load_file(path)
    state_dir = Path(config.state_dir)
    found = read_claim(claim, code)
    code = read_code(found.code)
    authority = None if ca_file is None else _read(ca_file)
    client = EnrolmentClient(found.url, authority, _known_time())
    if authority is None and found.authority_sha256 is not None:
        authority = client.trust(found.authority_sha256)
    key = begin(state_dir, code)
    answer = client.enrol(key, code, name or socket.gethostname())
    write_identity(
        state_dir,
        Identity(
            seed=key.seed,
            api_url=found.url,
            api_authority=authority,
            tenant=answer.tenant,
            device=answer.device,
            token=answer.token,
            issued_utc_ms=answer.utc_ms,
            expires_utc_ms=answer.expires_utc_ms,
            nats_urls=answer.nats_urls,
            authority=answer.authority,
            command_keys=answer.command_keys,
        ),
    )
    others = _others(state_dir, outbox_path(state_dir, answer.tenant, answer.device))
    for file in others if wipe else ():
        file.unlink()
    runs = _runs(config.socket_path)
    if as_json:
        sealed = [] if wipe else [file.name for file in others]
        print_json({"tenant": answer.tenant, "device": answer.device, "sealed": sealed, "is_running": runs})
        return
    click.echo(f"This device is {answer.device} of {answer.tenant}.")
    for file in others:
        click.echo(f"{file.name}: {'erased' if wipe else 'of another enrolment, stays here sealed; --wipe erases it'}")
    click.echo("Restart the agent: it still works as what it was." if runs else "Start the agent: milepost run")


def _known_time() -> KnownTime:
    anchor = SystemClock().anchor()
    if anchor.source == "ntp":
        return KnownTime(anchor.utc_ms, is_certain=True)
    return KnownTime(BUILT_UTC_MS, is_certain=False)


def _others(state_dir: Path, own: Path) -> list[Path]:
    """Outboxes of other enrolments, with what lies beside them. No agent ever opens them under this one."""
    return sorted(file for file in state_dir.glob("outbox.*") if not file.name.startswith(own.name))


def _runs(socket_path: Path) -> bool:
    try:
        ask(socket_path, "status")
    except Unavailable:
        return False
    return True


def _read(path: Path) -> str:
    try:
        return path.read_text(encoding="ascii")
    except (OSError, UnicodeDecodeError) as err:
        raise ConfigError(f"--ca {path}: {err}") from err
