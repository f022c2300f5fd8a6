"""Each fault of a deployment's files is made for real, and `milepost-cloud doctor` finds it."""

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
import json
from pathlib import Path
import shutil
import sqlite3

from click.testing import CliRunner
import msgspec
import pytest

from cloud.cli import main
from cloud.config import CloudConfig, DatabaseConfig, ListenConfig, MailConfig, NatsConfig
from cloud.deployment import IDENTITY
from cloud.enrolment import keyring
from cloud.identity.service import SECRET
from cloud.identity.tokens import load_secret
from cloud.ops.doctor import examine
from cloud.ops.doctor_files import is_synchronised
from cloud.ops.finding import Finding, Verdict

NOW = datetime(2026, 11, 24, 12, tzinfo=UTC)
YEAR = timedelta(days=365)


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("made") / "d"
    folder.mkdir(mode=0o700)
    keyring.make(folder / IDENTITY, ["fleet.example"], NOW)
    load_secret(folder / SECRET)
    shutil.rmtree(folder / IDENTITY / keyring.OFFLINE)
    return folder


@pytest.fixture
def config(made: Path, tmp_path: Path, sqlite_at_head: Path) -> CloudConfig:
    """A deployment whose files are as they should be."""
    folder = Path(shutil.copytree(made, tmp_path / "d"))
    shutil.copy(sqlite_at_head, folder / "fleet.db")
    secret = tmp_path / "password"
    secret.write_text("kL9/vT2rQx8mZp4w\n")
    secret.chmod(0o600)
    return CloudConfig(data_dir=folder, mail=MailConfig(password_file=secret), nats=NatsConfig(disk_reserve_bytes=0))


def found(config: CloudConfig, subject: str, now: datetime = NOW) -> Finding:
    return next(finding for finding in examine(config, now) if finding.subject == subject)


def test_nothing_is_bad_of_a_good_one(config: CloudConfig) -> None:
    verdicts = {finding.subject: finding.verdict for finding in examine(config, NOW)}
    if is_synchronised() is not False:
        assert verdicts.pop("clock") == "good"
    verdicts.pop("clock", None)
    assert verdicts.pop("mail") == "warning"
    assert verdicts.pop("disk") in ("good", "warning"), "as the machine is"
    waits = {"service": "skipped", "broker": "skipped"}
    assert {name: verdict for name, verdict in verdicts.items() if verdict != "good"} == waits


def _open_file(config: CloudConfig) -> None:
    (config.data_dir / IDENTITY / "commands-1.seed").chmod(0o640)


def _weak(config: CloudConfig) -> None:
    (config.data_dir / SECRET).write_bytes(bytes(32))


def _other_key(config: CloudConfig) -> None:
    folder = config.data_dir / IDENTITY
    keyring.make(config.data_dir / "other", ["fleet.example"], NOW)
    shutil.copy(config.data_dir / "other" / keyring.SERVER_KEY, folder / keyring.SERVER_KEY)


def _other_authority(config: CloudConfig) -> None:
    keyring.make(config.data_dir / "other", ["fleet.example"], NOW)
    shutil.copy(config.data_dir / "other" / keyring.AUTHORITY, config.data_dir / IDENTITY / keyring.AUTHORITY)


def _older_database(config: CloudConfig) -> None:
    _sql(config, "UPDATE alembic_version SET version_num = '0001'")


def _newer_database(config: CloudConfig) -> None:
    _sql(config, "UPDATE alembic_version SET version_num = '9999'")


def _sql(config: CloudConfig, order: str) -> None:
    with sqlite3.connect(config.data_dir / "fleet.db") as connection:
        connection.execute(order)
    connection.close()


def _guessable(config: CloudConfig) -> None:
    assert config.mail.password_file is not None
    config.mail.password_file.write_text("changeme\n")


def _readable(config: CloudConfig) -> None:
    assert config.mail.password_file is not None
    config.mail.password_file.chmod(0o644)


def _no_seed(config: CloudConfig) -> None:
    (config.data_dir / IDENTITY / "device-signing.seed").unlink()


@pytest.mark.parametrize(
    ("break_it", "subject", "words"),
    [
        (lambda config: config.data_dir.chmod(0o755), "data folder", "mode 0755: others may enter"),
        (_open_file, "identity", "open to others: identity/commands-1.seed"),
        (_no_seed, "identity", "device-signing.seed"),
        (_other_key, "certificates", "server.key is not the key of server.pem"),
        (_other_authority, "certificates", "not of each other"),
        (_weak, "people.key", "expected 32 random bytes"),
        (lambda config: (config.data_dir / SECRET).chmod(0o644), "people.key", "only its owner may read"),
        (_guessable, "$.mail.password_file", "easily guessed"),
        (_readable, "$.mail.password_file", "others may read it"),
        (lambda config: config.mail.password_file.unlink(), "$.mail.password_file", "No such file"),
        (_older_database, "database", "revision 0001, this program has"),
        (_newer_database, "database", "revision 9999 of a newer program"),
        (lambda config: (config.data_dir / "fleet.db").write_bytes(b"\xff" * 8192), "database", "not a database"),
        (lambda config: shutil.rmtree(config.data_dir / IDENTITY), "deployment", "no identity here"),
        (lambda config: shutil.rmtree(config.data_dir), "data folder", "is not there"),
    ],
)
def test_a_fault_of_the_files_is_found(
    config: CloudConfig, break_it: Callable[[CloudConfig], object], subject: str, words: str
) -> None:
    break_it(config)
    finding = found(config, subject)
    assert finding.verdict == "bad"
    assert words in finding.found
    assert finding.cure


@pytest.mark.parametrize(
    ("changes", "subject", "verdict"),
    [
        ({"demo": True}, "demo", "bad"),
        ({"listen": ListenConfig(host="0.0.0.0", tls=False)}, "deployment", "bad"),
        ({"nats": NatsConfig(disk_reserve_bytes=1 << 60)}, "disk", "bad"),
        ({"nats": NatsConfig(disk_reserve_bytes=0, stream_bytes=1 << 60)}, "disk", "warning"),
        ({"database": DatabaseConfig("postgresql://milepost:secret@db.example/m")}, "database", "bad"),
        ({"mail": MailConfig(host="mail.example", tls="none")}, "mail", "bad"),
    ],
)
def test_a_fault_of_the_configuration_is_found(
    config: CloudConfig, changes: dict[str, object], subject: str, verdict: Verdict
) -> None:
    assert found(msgspec.structs.replace(config, **changes), subject).verdict == verdict


@pytest.mark.parametrize(
    ("later", "subject", "verdict", "words"),
    [
        (-YEAR, "clock", "bad", "before the identity was made"),
        (-YEAR, "TLS certificate", "bad", "holds from"),
        (2 * YEAR - timedelta(days=10), "TLS certificate", "warning", "ends on 2028"),
        (3 * YEAR, "TLS certificate", "bad", "ended on 2028"),
        (19.5 * YEAR, "authority", "warning", "ends on 2046"),
        (21 * YEAR, "authority", "bad", "ended on 2046"),
    ],
)
def test_time_passes(config: CloudConfig, later: timedelta, subject: str, verdict: Verdict, words: str) -> None:
    finding = found(config, subject, NOW + later)
    assert finding.verdict == verdict
    assert words in finding.found


def test_keys_for_the_safe_are_warned_of(config: CloudConfig) -> None:
    offline = config.data_dir / IDENTITY / keyring.OFFLINE
    offline.mkdir(mode=0o700)
    (offline / "operator.seed").touch(mode=0o600)
    assert found(config, "offline keys").verdict == "warning"


def test_the_command_answers_in_80_columns_and_in_json(config: CloudConfig, tmp_path: Path) -> None:
    toml = tmp_path / "milepost-cloud.toml"
    toml.write_text(f'data_dir = "{config.data_dir}"\n[nats]\ndisk_reserve_bytes = 0\n')
    run = CliRunner()
    fine = run.invoke(main, ["--config", str(toml), "doctor"])
    assert fine.exit_code == 0, fine.output
    assert max(len(line) for line in fine.output.splitlines()) <= 80
    config.data_dir.chmod(0o755)
    refused = run.invoke(main, ["--config", str(toml), "doctor", "--json"])
    assert refused.exit_code == 1
    bad = [finding for finding in json.loads(refused.output) if finding["verdict"] == "bad"]
    assert [finding["subject"] for finding in bad] == ["data folder"]
