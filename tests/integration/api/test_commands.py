"""`milepost-cloud`, beside a running service and without one."""

import asyncio
from collections.abc import Iterator
import gzip
import json
from pathlib import Path
import time

import nats
import pytest

from cloud.db.migrate import head
from tests.integration.api.conftest import Service
from tests.support.cloud_process import CloudProcess, eventually
from tests.support.fleet import FakeDevice
from tests.support.frames import Drive
from tests.support.real_data import require_data
from tests.support.recordings import CAROBD_SIGNALS


@pytest.fixture
def process(tmp_path: Path) -> Iterator[CloudProcess]:
    process = CloudProcess(
        tmp_path / "d", MILEPOST__INGEST__COMMIT_WINDOW_S="0.05", MILEPOST__INGEST__ACK_DELAY_S="0.0"
    )
    yield process
    process.kill()


async def send_one_of_a_newer_version(process: CloudProcess) -> bytes:
    """A frame that this program cannot read yet: kept in quarantine and never acknowledged."""
    client = await nats.connect(process.nats_url)
    try:
        device = await FakeDevice(client, "van-01").listen()
        drive = Drive(41, epoch_ms=time.time_ns() // 1_000_000 - 60_000)
        broken = bytearray(drive.frame(1))
        broken[-1] ^= 0xFF
        await device.send(bytes(broken))
        await device.until(lambda: 1 in device.acked.get(drive.stream_id, ()))
        return drive.stream_id
    finally:
        await client.close()


def test_quarantine_and_verify_with_and_without_a_service(process: CloudProcess) -> None:
    process.start()
    asyncio.run(send_one_of_a_newer_version(process))
    running = json.loads(process.command("quarantine", "list", "--json").stdout)
    assert [(entry["device"], entry["kind"], entry["seq"]) for entry in running] == [("van-01", "undecodable", 1)]
    replayed = process.command("quarantine", "replay", "--json")
    assert json.loads(replayed.stdout) == {"replayed": 1, "stored": 0, "kept": 1}
    assert replayed.exit_code == 1
    assert json.loads(process.command("verify", "--json").stdout)["is_consistent"]
    process.stop()
    alone = json.loads(process.command("quarantine", "list", "--json").stdout)
    assert [entry["id"] for entry in alone] == [entry["id"] for entry in running]
    assert "van-01  undecodable  seq 1" in process.command("quarantine", "list").stdout
    assert process.command("verify").stdout.startswith("consistent: ")
    offline = process.command("quarantine", "replay", str(running[0]["id"]), "--json")
    assert json.loads(offline.stdout)["replayed"] == 1


def test_no_data_is_told(tmp_path: Path) -> None:
    process = CloudProcess(tmp_path / "d")
    (tmp_path / "d").rmdir()
    answer = process.command("verify")
    assert answer.exit_code == 69
    assert "no data here" in answer.stderr


def test_migrate_up_and_down(process: CloudProcess) -> None:
    assert json.loads(process.command("migrate", "--json").stdout)["to"] == head()
    assert json.loads(process.command("migrate", "--revision", "base", "--json").stdout) == {"from": head(), "to": None}
    assert json.loads(process.command("migrate", "--json").stdout) == {"from": None, "to": head()}


def test_migrate_beside_a_service_is_refused(service: Service) -> None:
    answer = service.process.command("migrate")
    assert answer.exit_code == 69
    assert "another milepost-cloud works here" in answer.stderr


def test_config_check(process: CloudProcess, tmp_path: Path) -> None:
    file = tmp_path / "milepost-cloud.toml"
    file.write_text("[listen]\nport = 9000\n", encoding="utf-8")
    good = process.command("--config", str(file), "config", "check", "--json")
    listen = json.loads(good.stdout)["listen"]
    assert (listen["host"], listen["port"], listen["tls"]) == ("127.0.0.1", 9000, True)
    file.write_text("[listen]\nprot = 9000\n", encoding="utf-8")
    bad = process.command("--config", str(file), "config", "check")
    assert bad.exit_code == 78
    assert "prot" in bad.stderr
    missing = process.command("--config", str(tmp_path / "none.toml"), "config", "check")
    assert (missing.exit_code, "No such file" in missing.stderr) == (78, True)


def csv(path: Path, rows: int = 600) -> Path:
    lines = ["ts,engine_rpm,speed_kmh,coolant_c,note"]
    for n in range(rows):
        stamp = f"2026-02-03T08:{n // 60:02d}:{n % 60:02d}Z"
        lines.append(f"{stamp},{800 + n % 7 * 0.25},{n % 50},{'' if n % 5 else 80},text")
    path.write_text("\n".join(lines) + "\n", encoding="utf-8")
    return path


def test_import_twice_is_once(process: CloudProcess, tmp_path: Path) -> None:
    file = csv(tmp_path / "drive.csv")
    first = json.loads(process.command("import", str(file), "--name", "etios", "--json").stdout)[0]
    assert (first["device"], first["rows"], first["samples"]) == ("import-etios", 600, 600 + 600 + 120)
    assert (first["frames"], first["frames_new"], first["ignored_columns"]) == (10, 10, ["note"])
    process.start()
    again = json.loads(process.command("import", str(file), "--name", "etios", "--json").stdout)[0]
    assert (again["stream_id"], again["frames_new"]) == (first["stream_id"], 0)
    ledger = json.loads(process.command("verify", "--json").stdout)
    assert (ledger["figures"]["stored"], ledger["figures"]["samples"], ledger["is_consistent"]) == (10, 1320, True)


def test_an_imported_recording_is_history(service: Service, tmp_path: Path) -> None:
    file = csv(tmp_path / "drive.csv")
    done = service.process.command("import", str(file), "--name", "history", "--json")
    assert done.exit_code == 0, done.stderr
    http = service.http
    vehicle = http.get("/api/v1/vehicles", params={"q": "import-history"}).json()["items"][0]
    assert vehicle["state"]["status"] == "silent"
    query = {
        "signals": "engine_rpm,coolant_c",
        "from": "2026-02-03T08:00:00Z",
        "to": "2026-02-03T08:10:00Z",
        "points": 1000,
    }

    def series() -> list[dict[str, list[float | None]]]:
        found: list[dict[str, list[float | None]]] = http.get(
            f"/api/v1/vehicles/{vehicle['id']}/history", params=query
        ).json()["series"]
        return found

    rpm, coolant = eventually(series, "history")
    assert rpm["value"] == [800 + n % 7 * 0.25 for n in range(600)]
    assert [value for value in coolant["value"] if value is not None] == [80.0] * 120


def test_wrong_recordings_are_refused_with_the_place(process: CloudProcess, tmp_path: Path) -> None:
    file = tmp_path / "bad.csv"
    file.write_text("ts,engine_rpm\n2026-02-03T08:00:00Z,800\n2026-02-03T08:00:01Z,fast\n", encoding="utf-8")
    bad = process.command("import", str(file))
    assert (bad.exit_code, "line 3, column 2: expected a number, got 'fast'" in bad.stderr) == (65, True)
    file.write_text("a,b\n1,2\n", encoding="utf-8")
    assert "no column is a signal" in process.command("import", str(file)).stderr


@pytest.mark.real_data
def test_a_real_drive_becomes_history_sample_by_sample(service: Service, tmp_path: Path) -> None:
    path = require_data("obd", "carobd-toyota-etios", "drive1.csv.gz")
    with gzip.open(path, "rt", encoding="utf-8") as file:
        titles = [title.strip() for title in file.readline().split(",")]
        rows = [line.split(",") for line in file]
    lines = [f"{json.dumps(title)} = {json.dumps(name)}" for title, name in zip(titles, CAROBD_SIGNALS, strict=True)]
    mapping = tmp_path / "carobd.toml"
    mapping.write_text("[columns]\n" + "\n".join(lines) + "\n", encoding="utf-8")
    done = service.process.command(
        "import", str(path), "--name", "real", "--columns", str(mapping), "--start", "2026-02-04T08:00:00Z", "--json"
    )
    assert done.exit_code == 0, done.stderr
    assert json.loads(done.stdout)[0]["rows"] == len(rows)
    vehicle = service.http.get("/api/v1/vehicles", params={"q": "import-real"}).json()["items"][0]
    query = {
        "signals": "engine_rpm",
        "from": "2026-02-04T08:00:00Z",
        "to": "2026-02-04T09:00:00Z",
        "points": 5000,
    }
    found = service.http.get(f"/api/v1/vehicles/{vehicle['id']}/history", params=query).json()["series"][0]
    column = CAROBD_SIGNALS.index("engine_rpm")
    written = [float(row[column]) for row in rows]
    assert len(found["value"]) == len(written)
    assert max(abs(got - wrote) for got, wrote in zip(found["value"], written, strict=True)) <= 0.125
