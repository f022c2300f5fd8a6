"""A deployment's identity on disk: keys, tokens and certificates in `<data_dir>/identity`, for this user only.

What the service does not need while it runs lies in `offline/`, to be taken away: with the operator's and the accounts'
own keys lost to a thief, everything else can be replaced, and without them no other broker can pass for ours.
"""

from collections.abc import Sequence
from datetime import datetime
from pathlib import Path

import msgspec

from cloud.enrolment.certificates import Issued, fingerprint, make_authority, make_server
from cloud.enrolment.keys import Key
from cloud.enrolment.nats_jwt import operator_jwt, system_jwt
from sync_protocol.errors import ConfigError, Conflict, Invalid
from sync_protocol.nkeys import Kind
from sync_protocol.secret_files import make_private_folder, write_secret

FACTS = "keyring.json"
AUTHORITY, SERVER, SERVER_KEY = "ca.pem", "server.pem", "server.key"
OFFLINE = "offline"
AUTHORITY_KEY = "ca.key"
_LOCAL = ("localhost", "127.0.0.1", "::1")


class Facts(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What is no secret. `hosts`: names and addresses of the service, the first is told to devices.

    `command_keys`: Ed25519 public keys in hexadecimal, pinned by devices as key 1 and 2.
    """

    made: datetime
    hosts: tuple[str, ...]
    operator: str
    operator_jwt: str
    system_account: str
    system_jwt: str
    fleet_account: str
    command_keys: tuple[str, str]


class Keyring(msgspec.Struct, frozen=True):
    """What the running service holds."""

    folder: Path
    facts: Facts
    operator: Key
    system: Key
    service: Key
    devices: Key
    commands: Key
    authority: bytes

    @property
    def authority_sha256(self) -> str:
        """Fingerprint of the authority, in hexadecimal."""
        return fingerprint(self.authority)


def make(folder: Path, hosts: Sequence[str], now: datetime) -> Facts:
    """Make an identity for a service under these names. `Conflict` when the folder has one: it is never overwritten.

    The facts are written last: an attempt that was cut short leaves none, and may be repeated.
    """
    if (folder / FACTS).exists():
        raise Conflict(f"{folder}: there is an identity already; devices trust it, so it is not overwritten")
    make_private_folder(folder)
    make_private_folder(folder / OFFLINE)
    operator, signing, spare_commands = Key.make("O"), Key.make("O"), Key.make("A")
    system_account, fleet_account = Key.make("A"), Key.make("A")
    system, service, devices, commands = (Key.make("A") for _ in range(4))
    issued_s = int(now.timestamp())
    facts = Facts(
        made=now,
        hosts=tuple(dict.fromkeys(hosts)),
        operator=operator.public,
        operator_jwt=operator_jwt(operator, signing.public, system_account.public, issued_s),
        system_account=system_account.public,
        system_jwt=system_jwt(signing, system_account.public, system.public, issued_s),
        fleet_account=fleet_account.public,
        command_keys=(commands.public_bytes.hex(), spare_commands.public_bytes.hex()),
    )
    seeds = {
        f"{OFFLINE}/operator.seed": operator,
        f"{OFFLINE}/system-account.seed": system_account,
        f"{OFFLINE}/fleet-account.seed": fleet_account,
        f"{OFFLINE}/commands-2.seed": spare_commands,
        "operator-signing.seed": signing,
        "system-signing.seed": system,
        "service-signing.seed": service,
        "device-signing.seed": devices,
        "commands-1.seed": commands,
    }
    for name, key in seeds.items():
        write_secret(folder / name, key.seed.encode() + b"\n")
    authority = make_authority(now)
    write_secret(folder / OFFLINE / AUTHORITY_KEY, authority.key)
    write_secret(folder / AUTHORITY, authority.certificate)
    _write_server(folder, authority, facts.hosts, now)
    write_secret(folder / FACTS, msgspec.json.format(msgspec.json.encode(facts)))
    return facts


def renew_server(folder: Path, authority_key: Path, hosts: Sequence[str], now: datetime) -> Facts:
    """Replace the server certificate, for the same names or, when some are given, for these."""
    facts = _facts(folder)
    if hosts:
        facts = msgspec.structs.replace(facts, hosts=tuple(dict.fromkeys(hosts)))
    _write_server(folder, Issued(_read(folder / AUTHORITY), _read(authority_key)), facts.hosts, now)
    write_secret(folder / FACTS, msgspec.json.format(msgspec.json.encode(facts)))
    return facts


def load(folder: Path) -> Keyring:
    """Read the identity. `ConfigError` names the file that is missing, no good, or open to others."""
    facts = _facts(folder)

    def key(name: str, kind: Kind) -> Key:
        try:
            return Key.from_seed(_read(folder / f"{name}.seed").decode("ascii", "replace").strip(), kind)
        except Invalid as err:
            raise ConfigError(f"{folder / name}.seed: {err}") from err

    for name in (SERVER, SERVER_KEY):
        _read(folder / name)
    return Keyring(
        folder=folder,
        facts=facts,
        operator=key("operator-signing", "O"),
        system=key("system-signing", "A"),
        service=key("service-signing", "A"),
        devices=key("device-signing", "A"),
        commands=key("commands-1", "A"),
        authority=_read(folder / AUTHORITY),
    )


def _write_server(folder: Path, authority: Issued, hosts: Sequence[str], now: datetime) -> None:
    """The service reaches its own broker under a local name."""
    server = make_server(authority, list(dict.fromkeys([*hosts, *_LOCAL])), now)
    write_secret(folder / SERVER_KEY, server.key)
    write_secret(folder / SERVER, server.certificate)


def _facts(folder: Path) -> Facts:
    try:
        return msgspec.json.decode(_read(folder / FACTS), type=Facts)
    except msgspec.MsgspecError as err:
        raise ConfigError(f"{folder / FACTS}: {err}") from err


def _read(path: Path) -> bytes:
    try:
        if path.stat().st_mode & 0o077:
            raise ConfigError(f"{path}: others may read it; expected mode 0600: chmod 600 {path}")
        return path.read_bytes()
    except OSError as err:
        raise ConfigError(f"{path}: {err.strerror}; `milepost-cloud init` makes it, a backup has it") from err
