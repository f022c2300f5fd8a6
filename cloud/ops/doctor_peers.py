"""Checks of what answers: the running service, the relational database, the broker, the mail server."""

from collections.abc import Sequence
from contextlib import closing
from datetime import UTC, datetime
import json
from pathlib import Path
import smtplib
import socket
import ssl
from typing import Any
from urllib.parse import urlsplit

from sqlalchemy import Connection, text
from sqlalchemy.exc import DBAPIError

from cloud.config import CloudConfig
from cloud.db import migrate
from cloud.db.engine import make_engine, relational_url
from cloud.db.row_security import check_role, unprotected
from cloud.deployment import IDENTITY
from cloud.enrolment import keyring
from cloud.http.guard import is_loopback
from cloud.ops.control import ControlClient, Status
from cloud.ops.finding import Finding, bad, good, skipped, warning
from sync_protocol.errors import ConfigError, Unavailable

PATIENCE_S = 5.0
CLOCKS_APART_S = 2.0
_LONGEST_INFO = 65_536
_OWNED = "SELECT count(*) FROM pg_tables WHERE schemaname = current_schema() AND tableowner = session_user"


def service(config: CloudConfig, now: datetime) -> Sequence[Finding]:
    """Whether it runs, and what it says of itself."""
    try:
        status = ControlClient(config.data_dir).ask("GET", "/status", Status)
    except Unavailable:
        return [skipped("service", "does not run over this data folder")]
    failed = [f"{check.name}: {check.detail}" for check in status.readiness.checks if not check.is_ok]
    if failed:
        return [bad("service", "; ".join(failed), "its log tells more")]
    return [good("service", f"{status.version} at {status.url}, process {status.pid}")]


def database(config: CloudConfig, now: datetime) -> Sequence[Finding]:
    """Reachable, at this program's revision, and with policies that bind."""
    try:
        url = relational_url(config.database, config.data_dir)
        if url.get_backend_name() == "sqlite" and not Path(url.database or "").is_file():
            return [skipped("database", "not made yet; the first start makes it")]
        engine = make_engine(url)
    except ConfigError as err:
        return [bad("database", str(err), "as it says")]
    try:
        at, head = migrate.current(engine), migrate.head()
        with engine.connect() as connection:
            is_postgres = connection.dialect.name == "postgresql"
            found = [_revision(str(engine.url), at, head)]
            return [*found, *(_policies(connection) if is_postgres else ()), *_same_clock(connection, now, is_postgres)]
    except DBAPIError as err:
        words = str(err.orig).strip().splitlines()[0]
        return [bad("database", f"{engine.url}: {words}", "start it, or set $.database right (docs/ops/postgres.md)")]
    finally:
        engine.dispose()


def _revision(url: str, at: str | None, head: str) -> Finding:
    if at == head:
        return good("database", f"{url}, revision {at}")
    if at is None or at < head:
        cure = "milepost-cloud migrate, or restart the service"
        return bad("database", f"{url}: revision {at or 'none'}, this program has {head}", cure)
    return bad("database", f"{url}: revision {at} of a newer program", "install the newer version")


def _policies(connection: Connection) -> list[Finding]:
    try:
        check_role(connection)
    except ConfigError as err:
        return [bad("row security", str(err), "docs/ops/postgres.md")]
    if tables := unprotected(connection):
        return [bad("row security", f"off for {', '.join(tables)}", "restart the service, or milepost-cloud migrate")]
    if connection.scalar(text(_OWNED)):
        return [warning("row security", "on, but the service owns the tables", "docs/ops/postgres.md: two roles")]
    return [good("row security", "on for every table, and binds the service's role")]


def _same_clock(connection: Connection, now: datetime, is_postgres: bool) -> list[Finding]:
    if not is_postgres:
        return []
    theirs = connection.scalar(text("SELECT clock_timestamp() AT TIME ZONE 'UTC'"))
    apart_s = abs((theirs.replace(tzinfo=UTC) - datetime.now(UTC)).total_seconds())
    if apart_s > CLOCKS_APART_S:
        return [warning("database clock", f"{apart_s:.0f} s from this machine's", "let one time server keep both")]
    return []


def broker(config: CloudConfig, now: datetime) -> Sequence[Finding]:
    """TLS 1.3 with the identity's certificate, and operator mode: nobody in without a token."""
    told = config.data_dir / "nats" / "url"
    url = config.nats.url or (told.read_text(encoding="utf-8").strip() if told.is_file() else None)
    if url is None:
        return [skipped("broker", "has not run yet")]
    address = urlsplit(url)
    where = (address.hostname or "", address.port or 4222)
    plain = _greeting(where)
    folder = config.data_dir / IDENTITY
    if plain is not None and not plain.get("tls_required"):
        needs = "" if plain.get("auth_required") else ", and no log-in"
        return [bad("broker", f"{url}: plain text{needs}", "tls:// and the identity's operator (docs/ops/identity.md)")]
    if not (folder / keyring.AUTHORITY).is_file():
        return [skipped("broker", f"{url}: no identity to check it with")]
    try:
        context = ssl.create_default_context(cafile=str(folder / keyring.AUTHORITY))
        context.minimum_version = ssl.TLSVersion.TLSv1_3
        said = _greeting(where, context, is_first=plain is None)
    except ssl.SSLError as err:
        return [bad("broker", f"{url}: {err.reason or err}", "TLS 1.3 with the identity's certificate")]
    if said is None:
        if config.nats.url is None:
            return [skipped("broker", f"{url}: does not run")]
        return [bad("broker", f"{url}: no answer", "start it, or set $.nats.url right")]
    # Only a broker that checks signatures of tokens gives something to sign.
    if not said.get("auth_required") or "nonce" not in said:
        return [bad("broker", f"{url}: TLS, but not in operator mode", "docs/ops/identity.md")]
    return [good("broker", f"{url}: TLS 1.3, operator mode, nats-server {said.get('version')}")]


def _greeting(
    where: tuple[str, int], context: ssl.SSLContext | None = None, *, is_first: bool = False
) -> dict[str, Any] | None:
    """What a NATS server says; None when it is silent, or not there. TLS begins `is_first`, or once it has said so."""
    try:
        with closing(socket.create_connection(where, PATIENCE_S)) as bare:
            # One that waits for TLS says nothing before.
            bare.settimeout(PATIENCE_S if context is not None else 1.0)
            link = context.wrap_socket(bare, server_hostname=where[0]) if context is not None and is_first else bare
            line = b""
            while not line.endswith(b"\n") and len(line) < _LONGEST_INFO:
                piece = link.recv(4096)
                if not piece:
                    return None
                line += piece
            if context is not None and not is_first:
                context.wrap_socket(bare, server_hostname=where[0]).close()
    except ssl.SSLError:
        raise
    except OSError:
        return None
    head, _, body = line.partition(b" ")
    info: dict[str, Any] | None = json.loads(body) if head == b"INFO" else None
    return info


def mail(config: CloudConfig, now: datetime) -> Sequence[Finding]:
    """A server that takes mail, over TLS unless it is on this machine."""
    settings = config.mail
    if settings.host is None:
        return [warning("mail", "none: links for people are handed out by hand", "$.mail.host")]
    where = f"{settings.host}:{settings.port}"
    if settings.tls == "none" and not is_loopback(settings.host):
        return [bad("mail", f"{where} without TLS: links for log-in travel in plain text", '$.mail.tls = "starttls"')]
    context = ssl.create_default_context()
    try:
        secret = "" if settings.password_file is None else settings.password_file.read_text(encoding="utf-8").strip()
        if settings.tls == "tls":
            server: smtplib.SMTP = smtplib.SMTP_SSL(settings.host, settings.port, timeout=PATIENCE_S, context=context)
        else:
            server = smtplib.SMTP(settings.host, settings.port, timeout=PATIENCE_S)
        with server:
            if settings.tls == "starttls":
                server.starttls(context=context)
            if settings.user is not None:
                server.login(settings.user, secret)
            server.noop()
    except (OSError, smtplib.SMTPException) as err:
        return [bad("mail", f"{where}: {err}", "set $.mail right, or start the server")]
    return [good("mail", f"{where}, {settings.tls}, from {settings.sender}")]
