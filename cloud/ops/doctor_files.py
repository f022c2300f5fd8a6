"""Checks of what lies on this machine's disk, of the disk itself and of the clock."""

from collections.abc import Sequence
import ctypes
from datetime import datetime, timedelta
import os
from pathlib import Path
import pwd
import shutil
import sys

from cryptography import x509
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import serialization

from cloud.config import CloudConfig
from cloud.deployment import IDENTITY, check_deployment
from cloud.enrolment import keyring
from cloud.identity.service import SECRET
from cloud.identity.tokens import load_secret
from cloud.ops.finding import Finding, bad, good, skipped, warning
from sync_protocol.errors import ConfigError

SOON = timedelta(days=30)
SECRET_LENGTH = 12
_GIB = 1024**3
_UNSYNCHRONISED = 5  # adjtimex(2): TIME_ERROR
_TIMEX_BYTES = 256


def foreign_owner(config: CloudConfig) -> Finding | None:
    """Bad when the data are another user's, whose rights alone tell what the service can do."""
    if not config.data_dir.is_dir() or config.data_dir.stat().st_uid == os.geteuid():
        return None
    name = _user(config.data_dir.stat().st_uid)
    return bad("data folder", f"{config.data_dir} belongs to {name}", f"sudo -u {name} milepost-cloud doctor")


def demo(config: CloudConfig, now: datetime) -> Sequence[Finding]:
    """A demo is open to everybody on the machine; a deployment has an identity, and TLS beyond loopback."""
    if config.demo:
        return [bad("demo", "on: everybody on this machine may do everything", "$.demo = false, no --demo")]
    try:
        check_deployment(config)
    except ConfigError as err:
        return [good("demo", "off"), bad("deployment", str(err), "as it says")]
    way = "TLS" if config.listen.tls else "plain HTTP to a proxy on this machine"
    return [good("demo", "off"), good("deployment", f"has an identity; API by {way} on {config.listen.host}")]


def data_folder(config: CloudConfig, now: datetime) -> Sequence[Finding]:
    """Only its owner may enter the data folder."""
    folder = config.data_dir
    if not folder.is_dir():
        return [bad("data folder", f"{folder} is not there", "$.data_dir or --data-dir says where it is")]
    mode = folder.stat().st_mode & 0o777
    if mode & 0o077:
        return [bad("data folder", f"{folder} has mode {mode:04o}: others may enter", f"chmod 700 {folder}")]
    return [good("data folder", f"{folder}, mode {mode:04o}, of {_user(folder.stat().st_uid)}")]


def identity(config: CloudConfig, now: datetime) -> Sequence[Finding]:
    """Keys and tokens: all there, whole, for this user only; what is for the safe is in the safe."""
    folder = config.data_dir / IDENTITY
    if not (folder / keyring.FACTS).is_file():
        return [skipped("identity", f"none in {folder}")]
    open_to_others = [path for path in [folder, *sorted(folder.rglob("*"))] if path.stat().st_mode & 0o077]
    if open_to_others:
        names = ", ".join(str(path.relative_to(config.data_dir)) for path in open_to_others[:3])
        more = f" and {len(open_to_others) - 3} more" if len(open_to_others) > 3 else ""
        return [bad("identity", f"open to others: {names}{more}", f"chmod -R go= {folder}")]
    try:
        ring = keyring.load(folder)
    except ConfigError as err:
        return [bad("identity", str(err), "put it back from a backup")]
    found = [good("identity", f"whole, for {', '.join(ring.facts.hosts)}")]
    if any((folder / keyring.OFFLINE).glob("*")):
        where = folder / keyring.OFFLINE
        found.append(warning("offline keys", "lie on this machine", f"take {where} to a safe, then remove it here"))
    return found


def certificates(config: CloudConfig, now: datetime) -> Sequence[Finding]:
    """The authority's and the server's: whole, of each other, in force and for a while yet."""
    folder = config.data_dir / IDENTITY
    if not (folder / keyring.FACTS).is_file():
        return [skipped("certificates", "no identity")]
    try:
        authority, server = (_certificate(folder / name) for name in (keyring.AUTHORITY, keyring.SERVER))
        key = serialization.load_pem_private_key((folder / keyring.SERVER_KEY).read_bytes(), None)
        server.verify_directly_issued_by(authority)
    except (OSError, ValueError, TypeError, InvalidSignature) as err:
        return [bad("certificates", f"not of each other, or no good: {err}", "milepost-cloud certificate")]
    if key.public_key() != server.public_key():
        return [bad("certificates", "server.key is not the key of server.pem", "milepost-cloud certificate")]
    return [
        _holds("authority", authority, now, 12 * SOON, "devices trust no other: plan a new identity"),
        _holds("TLS certificate", server, now, SOON, "milepost-cloud certificate, then restart the service"),
    ]


def secrets(config: CloudConfig, now: datetime) -> Sequence[Finding]:
    """Files with secrets: for this user only, and not easily guessed."""
    found: list[Finding] = []
    path = config.data_dir / SECRET
    if not path.exists():
        found.append(skipped("people.key", "not made yet; the first start makes it"))
    else:
        try:
            load_secret(path)
            found.append(good("people.key", "random, for this user only"))
        except ConfigError as err:
            found.append(bad("people.key", str(err), "as it says; then everybody logs in again"))
    passwords = {
        "$.nats.password_file": config.nats.password_file,
        "$.database.password_file": config.database.password_file,
        "$.mail.password_file": config.mail.password_file,
    }
    return [*found, *(_password(name, path) for name, path in passwords.items() if path is not None)]


def disk(config: CloudConfig, now: datetime) -> Sequence[Finding]:
    """Room for the stream of frames above the reserve."""
    if not config.data_dir.is_dir():
        return [skipped("disk", "no data folder")]
    usage = shutil.disk_usage(config.data_dir)
    reserve = config.nats.disk_reserve_bytes
    found = f"{usage.free / _GIB:.1f} GiB free of {usage.total / _GIB:.1f}, {reserve / _GIB:.1f} kept in reserve"
    cure = "a larger disk, or $.nats.disk_reserve_bytes and $.nats.stream_bytes to suit"
    if usage.free <= reserve:
        return [bad("disk", found, cure)]
    if usage.free < reserve + config.nats.stream_bytes:
        return [warning("disk", f"{found}; the stream of frames may want {config.nats.stream_bytes / _GIB:.1f}", cure)]
    return [good("disk", found)]


def clock(config: CloudConfig, now: datetime) -> Sequence[Finding]:
    """Not behind what it has seen already, and kept right by something."""
    folder = config.data_dir / IDENTITY
    try:
        made = keyring.load(folder).facts.made if (folder / keyring.FACTS).is_file() else None
    except ConfigError:
        made = None  # the identity has a finding of its own
    if made is not None and now < made:
        return [bad("clock", f"{now:%Y-%m-%d %H:%M}, before the identity was made ({made:%Y-%m-%d})", "set the clock")]
    if is_synchronised() is False:
        return [
            warning("clock", f"{now:%Y-%m-%d %H:%M} UTC; nothing keeps it right", "run chrony or systemd-timesyncd")
        ]
    return [good("clock", f"{now:%Y-%m-%d %H:%M} UTC")]


def is_synchronised() -> bool | None:
    """Whether the kernel is told the right time by somebody; None where it does not say."""
    if not sys.platform.startswith("linux"):
        return None
    state: int = ctypes.CDLL(None).adjtimex(ctypes.create_string_buffer(_TIMEX_BYTES))
    return None if state < 0 else state != _UNSYNCHRONISED


def _certificate(path: Path) -> x509.Certificate:
    return x509.load_pem_x509_certificate(path.read_bytes())


def _holds(subject: str, certificate: x509.Certificate, now: datetime, soon: timedelta, cure: str) -> Finding:
    start, end = certificate.not_valid_before_utc, certificate.not_valid_after_utc
    if now < start:
        return bad(subject, f"holds from {start:%Y-%m-%d} on only", "set the clock")
    if now >= end:
        return bad(subject, f"ended on {end:%Y-%m-%d}", cure)
    if end - now < soon:
        return warning(subject, f"ends on {end:%Y-%m-%d}", cure)
    return good(subject, f"holds until {end:%Y-%m-%d}")


def _password(name: str, path: Path) -> Finding:
    try:
        mode, text = path.stat().st_mode, path.read_text(encoding="utf-8").strip()
    except (OSError, UnicodeDecodeError) as err:
        return bad(name, f"{path}: {err}", "a file with the password in it")
    if mode & 0o077:
        return bad(name, f"{path}: others may read it", f"chmod 600 {path}")
    if len(text) < SECRET_LENGTH or len(set(text)) < SECRET_LENGTH // 2:
        return bad(name, f"{path}: easily guessed", "openssl rand -base64 24, there and at the server")
    return good(name, "hard to guess, for this user only")


def _user(uid: int) -> str:
    try:
        return pwd.getpwuid(uid).pw_name
    except KeyError:
        return str(uid)
