"""`milepost-cloud doctor` on what answers: a service that runs, PostgreSQL, brokers and mail servers at fault."""

from collections.abc import Iterator
from datetime import UTC, datetime
import json
from pathlib import Path
import socket
from threading import Thread

import msgspec
import pytest
from sqlalchemy import make_url

from cloud.config import CloudConfig, DatabaseConfig, MailConfig, NatsConfig
from cloud.deployment import IDENTITY
from cloud.enrolment import keyring
from cloud.ops.doctor import examine
from cloud.ops.finding import Finding
from tests.support.deployment import Deployment
from tests.support.nats_peer import NatsPeer, free_port
from tests.support.postgres_peer import OWNER, SERVICE, PostgresPeer

pytestmark = pytest.mark.peer


@pytest.fixture
def config(tmp_path: Path) -> CloudConfig:
    """A data folder with an identity."""
    folder = tmp_path / "d"
    folder.mkdir(mode=0o700)
    keyring.make(folder / IDENTITY, ["localhost"], datetime.now(UTC))
    return CloudConfig(data_dir=folder)


@pytest.fixture
def url(postgres: PostgresPeer) -> Iterator[str]:
    made = postgres.database()
    yield made
    postgres.drop(made)


def found(config: CloudConfig, subject: str) -> Finding:
    return next(finding for finding in examine(config, datetime.now(UTC)) if finding.subject == subject)


def with_database(config: CloudConfig, url: str) -> CloudConfig:
    return msgspec.structs.replace(config, database=DatabaseConfig(url))


@pytest.mark.slow
def test_a_deployment_that_runs_has_nothing_bad(tmp_path: Path, url: str, postgres: PostgresPeer) -> None:
    deployment = Deployment(tmp_path / "d", "acme", MILEPOST__DATABASE__URL=url)
    deployment.folder.chmod(0o700)
    deployment.process.start()
    try:
        answer = deployment.process.command("doctor", "--json")
        verdicts = {item["subject"]: item["verdict"] for item in json.loads(answer.stdout)}
        assert answer.exit_code == 0, answer.stdout
        looked_at = ("service", "database", "row security", "broker", "people.key", "TLS certificate")
        assert {subject: verdicts[subject] for subject in looked_at} == dict.fromkeys(looked_at, "good")

        postgres.run("ALTER TABLE vehicles DISABLE ROW LEVEL SECURITY", database=make_url(url).database or "")
        answer = deployment.process.command("doctor", "--json")
        assert answer.exit_code == 1
        (bad,) = (item for item in json.loads(answer.stdout) if item["verdict"] == "bad")
        assert (bad["subject"], bad["found"]) == ("row security", "off for vehicles")
    finally:
        deployment.process.stop()


def test_a_database_that_is_not_there_is_found(config: CloudConfig, url: str) -> None:
    gone = make_url(url).set(database="no_such_one").render_as_string()
    assert 'database "no_such_one" does not exist' in found(with_database(config, gone), "database").found
    nobody = f"postgresql://milepost@127.0.0.1:{free_port()}/milepost"
    assert "Connection refused" in found(with_database(config, nobody), "database").found
    assert found(with_database(config, nobody), "database").verdict == "bad"


def test_a_database_at_another_revision_is_found(config: CloudConfig, url: str, postgres: PostgresPeer) -> None:
    name = make_url(url).database or ""
    postgres.run("UPDATE alembic_version SET version_num = '0001'", database=name)
    assert "revision 0001, this program has" in found(with_database(config, url), "database").found


def test_a_role_that_no_policy_binds_is_found(config: CloudConfig, url: str, postgres: PostgresPeer) -> None:
    above = url.replace(f"{SERVICE}@", "postgres@")
    finding = found(with_database(config, above), "row security")
    assert (finding.verdict, "neither SUPERUSER nor BYPASSRLS" in finding.found) == ("bad", True)
    postgres.run(f"REASSIGN OWNED BY {OWNER} TO {SERVICE}", database=make_url(url).database or "")
    finding = found(with_database(config, url), "row security")
    assert (finding.verdict, finding.found) == ("warning", "on, but the service owns the tables")
    postgres.run(f"REASSIGN OWNED BY {SERVICE} TO {OWNER}", database=make_url(url).database or "")


def test_a_broker_in_plain_text_is_found(config: CloudConfig, tmp_path: Path) -> None:
    (tmp_path / "nats").mkdir()
    with NatsPeer(tmp_path / "nats") as peer:
        finding = found(msgspec.structs.replace(config, nats=NatsConfig(url=peer.url)), "broker")
    assert finding.verdict == "bad"
    assert "plain text, and no log-in" in finding.found


def _tls(folder: Path) -> str:
    files = f'cert_file: "{folder / keyring.SERVER}", key_file: "{folder / keyring.SERVER_KEY}"'
    return f"tls {{ {files} }}\n"


def test_a_broker_without_operator_is_found(config: CloudConfig, tmp_path: Path) -> None:
    (tmp_path / "nats").mkdir()
    with NatsPeer(tmp_path / "nats", extra=_tls(config.data_dir / IDENTITY)) as peer:
        url = peer.url.replace("nats://127.0.0.1", "tls://localhost")
        finding = found(msgspec.structs.replace(config, nats=NatsConfig(url=url)), "broker")
    assert (finding.verdict, "not in operator mode" in finding.found) == ("bad", True)


def test_a_broker_of_another_authority_is_found(config: CloudConfig, tmp_path: Path) -> None:
    keyring.make(tmp_path / "other", ["localhost"], datetime.now(UTC))
    (tmp_path / "nats").mkdir()
    with NatsPeer(tmp_path / "nats", extra=_tls(tmp_path / "other")) as peer:
        url = peer.url.replace("nats://127.0.0.1", "tls://localhost")
        finding = found(msgspec.structs.replace(config, nats=NatsConfig(url=url)), "broker")
    assert (finding.verdict, "CERTIFICATE_VERIFY_FAILED" in finding.found) == ("bad", True)


def test_an_external_broker_that_is_not_there_is_found(config: CloudConfig) -> None:
    nats = NatsConfig(url=f"tls://localhost:{free_port()}")
    assert "no answer" in found(msgspec.structs.replace(config, nats=nats), "broker").found


class OldMailServer:
    """Speaks SMTP as of before STARTTLS, to one caller."""

    def __init__(self) -> None:
        self._socket = socket.create_server(("127.0.0.1", 0))
        self.port = self._socket.getsockname()[1]
        self._thread = Thread(target=self._serve, daemon=True)
        self._thread.start()

    def _serve(self) -> None:
        link, _ = self._socket.accept()
        with link, link.makefile("rwb") as lines:
            lines.write(b"220 old\r\n")
            lines.flush()
            for line in lines:
                lines.write({b"EHLO": b"250 old\r\n", b"QUIT": b"221 bye\r\n"}.get(line[:4], b"250 ok\r\n"))
                lines.flush()

    def close(self) -> None:
        self._socket.close()
        self._thread.join(5)


def test_mail_servers_at_fault_are_found(config: CloudConfig) -> None:
    nobody = MailConfig(host="127.0.0.1", port=free_port())
    assert "refused" in found(msgspec.structs.replace(config, mail=nobody), "mail").found
    for tls, verdict in (("starttls", "bad"), ("none", "good")):
        server = OldMailServer()
        mail = MailConfig(host="127.0.0.1", port=server.port, tls=tls)  # type: ignore[arg-type]
        assert found(msgspec.structs.replace(config, mail=mail), "mail").verdict == verdict
        server.close()
