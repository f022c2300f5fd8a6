"""As device A against a real nats-server: nothing of device B, of another tenant or of JetStream can be reached."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from pathlib import Path
import time

from nats.aio.client import Client
from nats.errors import Error
import pytest

from cloud.broker_login import TokenLogin
from cloud.config import NatsConfig
from cloud.enrolment import keyring, nats_jwt
from cloud.enrolment.broker_identity import DeploymentIdentity
from cloud.enrolment.keys import Key
from cloud.ingest.broker import Broker
from cloud.ingest.source import connect, ensure_stream
from sync_protocol.errors import Unavailable
from sync_protocol.subjects import STREAM

SETTLED_S = 0.15


class Site:
    """A broker with an identity, and tokens for devices."""

    def __init__(self, folder: Path) -> None:
        keyring.make(folder / "identity", ["localhost"], datetime.now(UTC))
        self.ring = keyring.load(folder / "identity")
        self.revoked: dict[str, int] = {}
        self.identity = DeploymentIdentity(self.ring, lambda: self.revoked)
        self.broker = Broker(NatsConfig(port=0, disk_reserve_bytes=0), folder / "nats", self.identity)

    def login(self, tenant: str, device: str, key: Key | None = None, life_s: int = 600) -> TokenLogin:
        """Of a device; unlike the service, this takes names unchecked."""
        key = key or Key.make("U")
        ring, now_s = self.ring, int(time.time())
        nats = {"type": "user", "issuer_account": ring.facts.fleet_account, "tags": [f"tenant:{tenant}"]}
        token = nats_jwt._mint(ring.devices, key.public, device, nats, now_s, now_s + life_s)
        return TokenLogin(token, key.sign, self.identity.login().context)

    @asynccontextmanager
    async def device(self, login: TokenLogin) -> AsyncIterator["Device"]:
        device = Device()
        await device.client.connect(
            self.broker.url, allow_reconnect=False, connect_timeout=3, error_cb=device.on_error, **login.options()
        )
        try:
            yield device
        finally:
            await device.client.close()


class Device:
    """A client that notes what it was refused."""

    def __init__(self) -> None:
        self.client = Client()
        self.refused: list[str] = []

    async def on_error(self, error: Exception) -> None:
        self.refused.append(str(error).lower())

    async def settled(self) -> list[str]:
        """What was refused since the last question."""
        await self.client.flush()
        await asyncio.sleep(SETTLED_S)  # nats-py hands errors to a task of its own
        refused, self.refused = self.refused, []
        return refused


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Site:
    site = Site(tmp_path_factory.mktemp("site"))
    site.broker.start()
    yield site
    site.broker.stop()


OTHERS_SUBJECTS = [
    "f.acme.b", "f.other.a", "d.acme.b", "d.acme.a", "f.acme.a.x", "f.acme", "x", "$JS.API.INFO",
    "$JS.API.STREAM.NAMES", "$JS.API.STREAM.INFO.FRAMES", "$JS.API.STREAM.MSG.GET.FRAMES",
    "$JS.API.DIRECT.GET.FRAMES", "$JS.API.STREAM.PURGE.FRAMES", "$JS.API.STREAM.DELETE.FRAMES",
    "$JS.API.CONSUMER.CREATE.FRAMES", "$JS.API.CONSUMER.MSG.NEXT.FRAMES.ingest", "$SYS.REQ.USER.INFO",
    "$SYS.REQ.CLAIMS.UPDATE", "$SYS.REQ.ACCOUNT.PING.CONNZ", "$JS.ACK.FRAMES.ingest.1.1.1.1.0",
]  # fmt: skip
OTHERS_EARS = ["d.acme.b", "d.*.*", "d.acme.*", "d.>", ">", "f.acme.a", "f.>", "_INBOX.>", "i.>", "$SYS.>", "$JS.>"]


def test_a_device_reaches_its_own_two_subjects_and_nothing_else(site: Site) -> None:
    async def work() -> None:
        service = await connect(site.broker.url, "service", site.broker.login())
        await ensure_stream(service, 16 * 1024**2)
        async with site.device(site.login("acme", "a")) as a:
            heard: list[bytes] = []

            async def hear(message: object) -> None:
                heard.append(message.data)

            await a.client.subscribe("d.acme.a", cb=hear)
            await a.client.publish("f.acme.a", b"mine")
            assert await a.settled() == []
            await service.publish("d.acme.a", b"for a")
            await service.publish("d.acme.b", b"for b")
            await service.flush()
            await a.settled()
            assert heard == [b"for a"]
            held = (await service.jetstream().stream_info(STREAM)).state.messages
            assert held == 1

            for subject in OTHERS_SUBJECTS:
                await a.client.publish(subject, b"evil")
                assert "permissions violation" in " ".join(await a.settled()), subject
            for subject in OTHERS_EARS:
                found = await a.client.subscribe(subject)
                assert "permissions violation" in " ".join(await a.settled()), subject
                await found.unsubscribe()
                await a.settled()
            assert (await service.jetstream().stream_info(STREAM)).state.messages == held
        await service.close()

    asyncio.run(work())


def test_a_forged_reply_subject_carries_nothing_to_another(site: Site) -> None:
    """JetStream would answer a publish on whatever reply subject it names: the stream answers nothing."""

    async def work() -> None:
        service = await connect(site.broker.url, "service", site.broker.login())
        await ensure_stream(service, 16 * 1024**2)
        async with site.device(site.login("acme", "a")) as a, site.device(site.login("acme", "b")) as b:
            heard: list[bytes] = []

            async def hear(message: object) -> None:
                heard.append(message.data)

            await b.client.subscribe("d.acme.b", cb=hear)
            await b.settled()
            before = (await service.jetstream().stream_info(STREAM)).state.messages
            for reply in ("d.acme.b", "f.acme.b", "$JS.API.STREAM.PURGE.FRAMES", "$JS.API.STREAM.DELETE.FRAMES"):
                await a.client.publish("f.acme.a", b"mine", reply=reply)
                await a.settled()
            await b.settled()
            assert heard == []
            state = (await service.jetstream().stream_info(STREAM)).state
            assert state.messages == before + 4, "the four, and no answer among them"
        await service.close()

    asyncio.run(work())


@pytest.mark.parametrize(
    ("tenant", "device", "opened"), [("*", "a", "f.other.a"), ("acme", "*", "f.acme.b"), ("acme", ">", "f.acme.b.c")]
)
def test_why_no_token_is_made_for_a_name_that_is_a_wildcard(site: Site, tenant: str, device: str, opened: str) -> None:
    """The broker would take it for one: the check of names is all that stands between (`nats_jwt.device_jwt`)."""

    async def work() -> None:
        async with site.device(site.login(tenant, device)) as a:
            await a.client.publish(opened, b"evil")
            assert await a.settled() == []

    asyncio.run(work())


def test_revocation_ends_an_open_connection_and_spares_the_others(site: Site) -> None:
    from cloud.enrolment.account import push_account

    async def work() -> None:
        system = await connect(site.broker.url, "system", site.identity.system_login())
        key = Key.make("U")
        login = site.login("acme", "a", key)
        async with site.device(login) as a, site.device(site.login("acme", "b")) as b:
            site.revoked[key.public] = int(time.time())
            asked = time.monotonic()
            await push_account(system, site.identity.fleet_jwt())
            while a.client.is_connected and time.monotonic() < asked + 5:
                await asyncio.sleep(0.002)
            assert time.monotonic() - asked < 1
            await b.client.flush()
            assert b.client.is_connected
            with pytest.raises(Error):
                async with site.device(login):
                    pass
        await system.close()

    asyncio.run(work())


def test_plain_text_and_old_tls_find_nobody(site: Site) -> None:
    async def work() -> None:
        url = site.broker.url.replace("tls://", "nats://")
        with pytest.raises(Unavailable):
            await connect(url, "plain", patience_s=1)

    asyncio.run(work())
