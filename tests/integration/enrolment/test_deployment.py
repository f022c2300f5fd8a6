"""A whole deployment over TLS: what it refuses, copied devices, tokens that ended, a device that changes hands."""

import asyncio
from collections.abc import Iterator
from contextlib import AsyncExitStack
import json
import os
from pathlib import Path
import shutil
import socket
import subprocess
import time

import httpx
from nats.aio.client import Client
from nats.errors import Error
import pytest

from cloud.enrolment import keyring
from cloud.enrolment.keys import Key
from cloud.enrolment.nats_jwt import device_jwt
from cloud.ingest.broker import find_nats_server
from edge.enrolment import EnrolmentClient, read_claim
from edge.identity import DeviceKey, read_identity
from edge.uplink.tls import tls_context
from sync_protocol.enrolment import Enrolled, read_code
from sync_protocol.errors import Denied, Unavailable
from tests.support.agent_process import AgentProcess, write_recording
from tests.support.cloud_process import eventually
from tests.support.deployment import Deployment


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Deployment]:
    made = Deployment(tmp_path_factory.mktemp("site") / "d", "acme", "other")
    made.process.start()
    yield made
    assert made.process.stop() == 0


@pytest.fixture
def agent(tmp_path: Path) -> Iterator[AgentProcess]:
    recording = tmp_path / "drive.jsonl.gz"
    write_recording(recording, 600, utc_ms=time.time_ns() // 1_000_000)
    with AgentProcess(None, recording) as made:
        yield made


def enrolled(site: Deployment, tenant: str, name: str) -> tuple[DeviceKey, Enrolled]:
    """A device that has come in as `milepost enroll` does it."""
    claim = read_claim(site.claims(tenant)[0]["payload"], None)
    client = EnrolmentClient(claim.url, None, None)
    assert claim.authority_sha256 is not None
    client.trust(claim.authority_sha256)
    key = DeviceKey.make()
    return key, client.enrol(key, read_code(claim.code), name)


async def connected(key: DeviceKey, answer: Enrolled) -> Client:
    """A connection of an enrolled device."""
    client = Client()

    async def quiet(_error: Exception) -> None: ...

    await client.connect(
        answer.nats_urls[0],
        user_jwt_cb=answer.token.encode,
        signature_cb=key.answer,
        tls=tls_context(None, None, answer.authority),
        tls_handshake_first=True,
        allow_reconnect=False,
        connect_timeout=3,
        error_cb=quiet,
    )
    return client


def test_whom_a_device_believes(site: Deployment) -> None:
    claim = read_claim(site.claims("acme")[0]["payload"], None)
    with pytest.raises(Denied, match="not the service that this claim code is from"):
        EnrolmentClient(claim.url, None, None).trust("0" * 64)
    with pytest.raises(Unavailable, match=r"(?i)certificate verify failed"):
        EnrolmentClient(claim.url, None, None).enrol(DeviceKey.make(), claim.code, "x")
    with pytest.raises(Unavailable):
        EnrolmentClient(claim.url.replace("https", "http"), None, None).enrol(DeviceKey.make(), claim.code, "x")


def test_a_copied_device_is_noticed(site: Deployment) -> None:
    key, answer = enrolled(site, "acme", "copied")

    async def work() -> None:
        async with AsyncExitStack() as stack, asyncio.timeout(60):
            clients = []
            for _ in range(2):
                client = await connected(key, answer)
                stack.push_async_callback(client.close)
                clients.append(client)
            with site.client("acme") as http:
                path = f"/api/v1/devices/{answer.device}/identity"
                seen = await asyncio.to_thread(lambda: http.get(path).json())
                assert (seen["is_connected"], seen["is_cloned"]) == (True, False)
                while not seen["is_cloned"]:
                    for client in clients:
                        await client.publish(f"f.acme.{answer.device}", b"no frame")
                        await client.flush()
                    seen = await asyncio.to_thread(lambda: http.get(path).json())
                assert seen["keys"][0]["connections"] == 2
                other = await asyncio.to_thread(lambda: http.get("/api/v1/devices").json())
                assert answer.device in [device["id"] for device in other["items"]]

    asyncio.run(work())


def test_a_device_that_was_locked_out_stays_so_when_the_broker_begins_anew(site: Deployment) -> None:
    key, answer = enrolled(site, "acme", "stolen")

    async def is_let_in() -> bool:
        try:
            await (await connected(key, answer)).close()
        except (Error, OSError, TimeoutError):
            return False
        return True

    assert asyncio.run(is_let_in())
    with site.client("acme") as http:
        assert http.post("/api/v1/devices/stolen/revoke").status_code == 200
        assert not asyncio.run(is_let_in())
        pid = int(next(site.folder.glob("nats/nats-server_*.ports")).stem.rpartition("_")[2])
        os.kill(pid, 9)
        survivor = enrolled(site, "acme", "survivor")
        eventually(lambda: _connects(*survivor), "others are let in")
        assert not asyncio.run(is_let_in())
        assert http.delete("/api/v1/devices/stolen").status_code == 204
        assert http.get("/api/v1/devices/stolen").status_code == 404


def _connects(key: DeviceKey, answer: Enrolled) -> bool:
    async def work() -> None:
        await (await connected(key, answer)).close()

    try:
        asyncio.run(work())
    except (Error, OSError, TimeoutError):
        return False
    return True


def test_a_token_that_ended_long_ago_is_renewed_by_the_agent(site: Deployment, agent: AgentProcess) -> None:
    assert agent.command("enroll", site.claims("acme")[0]["payload"], "--name", "asleep").code == 0
    file = agent.folder / "state" / "identity.json"
    identity = json.loads(file.read_bytes())
    ring = keyring.load(site.folder / "identity")
    public = Key.from_seed(identity["seed"], "U").public
    then_s = int(time.time()) - 90 * 86_400
    account = ring.facts.fleet_account
    identity["token"] = device_jwt(ring.devices, account, public, "acme", "asleep", then_s, then_s + 86_400)
    identity |= {"issued_utc_ms": then_s * 1000, "expires_utc_ms": (then_s + 86_400) * 1000}
    file.write_text(json.dumps(identity))
    agent.start()
    eventually(lambda: agent.ask("status")["link"]["last_answer_ms"] > 0, "the cloud's answer", 60)
    renewed = read_identity(agent.folder / "state")
    assert renewed is not None
    assert renewed.expires_utc_ms > time.time() * 1000


def test_nothing_of_one_tenant_arrives_at_another(site: Deployment, agent: AgentProcess) -> None:
    assert agent.command("enroll", site.claims("acme")[0]["payload"], "--name", "sold").code == 0
    agent.start()
    eventually(lambda: agent.ask("status")["frames"]["pending"] == 0 and agent.ask("status")["frames"], "all is sent")
    agent.stop()
    state = agent.folder / "state"
    before = {file.name: file.read_bytes() for file in state.glob("outbox.acme.*.db")}
    assert before
    moved = agent.command("enroll", site.claims("other")[0]["payload"], "--name", "bought")
    assert moved.code == 0, moved.err
    assert "stays here sealed" in moved.out
    agent.start()
    with site.client("other") as http:
        eventually(lambda: http.get("/api/v1/summary").json()["frames"]["stored"], "frames of the new owner's")
        assert "sold" not in [device["id"] for device in http.get("/api/v1/devices").json()["items"]]
        ledger = http.get("/api/v1/devices/bought/ledger").json()
        assert [stream["stored"][0][0] for stream in ledger["streams"]] == [1], "one stream, from its beginning"
    agent.stop()
    assert {name: (state / name).read_bytes() for name in before} == before
    wiped = agent.command("enroll", site.claims("other")[0]["payload"], "--name", "bought", "--wipe")
    assert wiped.code == 0, wiped.err
    assert not list(state.glob("outbox.acme.*"))


def test_history_is_imported_for_a_company_by_name(site: Deployment, tmp_path: Path) -> None:
    file = tmp_path / "drive.csv"
    rows = "".join(f"2026-03-01T10:00:{second:02}Z,{800 + second}\n" for second in range(30))
    file.write_text(f"time,engine_rpm\n{rows}", encoding="utf-8")
    asked = ("import", str(file), "--name", "old", "--json")
    assert site.process.command(*asked).exit_code == 2
    assert "There is no tenant" in site.process.command(*asked, "--tenant", "nobody").stderr
    done = site.process.command(*asked, "--tenant", "other")
    assert done.exit_code == 0, done.output
    assert json.loads(done.stdout)[0]["samples"] == 30
    assert json.loads(site.process.command(*asked, "--tenant", "other").stdout)[0]["frames_new"] == 0
    with site.client("acme") as ours, site.client("other") as others:
        assert others.get("/api/v1/devices/import-old").status_code == 200
        assert others.get("/api/v1/devices/import-old/identity").json()["keys"] == []
        assert ours.get("/api/v1/devices/import-old").status_code == 404


def test_who_guesses_codes_is_slowed_down(site: Deployment) -> None:
    """The last one here: the others come from the same address."""
    with httpx.Client(base_url=site.process.url, verify=site.tls()) as http:
        for _ in range(40):
            challenge = http.post("/api/v1/enrolments/challenges").json()["challenge"]
            key = DeviceKey.make()
            body = {"code": "2" * 16, "public_key": key.public, "challenge": challenge, "signature": "00" * 64}
            answer = http.post("/api/v1/enrolments", json=body)
            if answer.status_code == 429:
                break
            assert answer.status_code == 403
        assert answer.status_code == 429
        assert int(answer.headers["Retry-After"]) >= 1


def test_a_broker_that_runs_by_itself(tmp_path: Path) -> None:
    """It knows the operator only: the service tells it who the devices are, also after it has lost everything."""
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    site = Deployment(tmp_path / "d", "acme", MILEPOST__NATS__URL=f"tls://localhost:{port}")
    printed = site.process.command("broker", "--dir", str(tmp_path / "nats"))
    assert printed.exit_code == 0, printed.output
    config = tmp_path / "nats.conf"
    config.write_text(printed.stdout.replace("port: 4222", f'host: "127.0.0.1"\nport: {port}'), encoding="utf-8")

    def start() -> subprocess.Popen[bytes]:
        return subprocess.Popen([find_nats_server(), "-c", config, "-l", tmp_path / "nats.log"])

    broker = start()
    try:
        site.process.start()
        key, answer = enrolled(site, "acme", "van-1")
        stolen = enrolled(site, "acme", "stolen")
        assert answer.nats_urls == (f"tls://localhost:{port}",)
        assert _connects(key, answer)
        with site.client("acme") as http:
            assert http.post("/api/v1/devices/stolen/revoke").status_code == 200
        broker.kill()
        broker.wait()
        shutil.rmtree(tmp_path / "nats")
        broker = start()
        eventually(lambda: _connects(key, answer), "the account is told again", 60)
        assert not _connects(*stolen)
        assert site.process.stop() == 0
    finally:
        site.process.kill()
        broker.kill()
        broker.wait()
