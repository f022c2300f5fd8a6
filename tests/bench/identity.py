"""Devices that come in, devices that are locked out, people who log in: a whole deployment over TLS on this machine.

Clients, service and broker share the cores, so each figure stands beside what the same clients get from the same
service for next to nothing (`GET /health`) in the same run.
"""

import argparse
import asyncio
from base64 import b64encode
from collections.abc import Awaitable, Callable
import contextlib
from pathlib import Path
import ssl
import statistics
import tempfile
import time

import httpx
from nats.aio.client import Client

from cloud.enrolment.keys import Key
from cloud.enrolment.nats_jwt import device_jwt
from sync_protocol.enrolment import PATH, to_sign
from tests.bench.report import Figure, report
from tests.support.deployment import OWNER, PASSWORD, Deployment

AT_ONCE = 16
LOG_INS = 20
REVOCATIONS = 20


class Device:
    """A key, and the token that came for it."""

    def __init__(self, number: int) -> None:
        self.name = f"van-{number:05}"
        self.key = Key.make("U")
        self.token = ""
        self.url = ""
        self.client = Client()

    async def enrol(self, http: httpx.AsyncClient, code: str) -> None:
        """Come in, and ask again where the server has just closed an idle connection: the same key may."""
        while not self.token:
            with contextlib.suppress(httpx.RemoteProtocolError):
                await self._enrol(http, code)

    async def _enrol(self, http: httpx.AsyncClient, code: str) -> None:
        """As `milepost enroll` does it: a challenge, then the proof."""
        challenge = (await http.post(f"{PATH}/challenges")).json()["challenge"]
        signature = self.key.sign(to_sign(challenge, self.key.public, code, self.name)).hex()
        body = {"code": code, "public_key": self.key.public, "challenge": challenge, "signature": signature}
        answer = await http.post(PATH, json=body | {"name": self.name})
        assert answer.status_code == 201, answer.text
        found = answer.json()
        assert found["device"] == self.name
        self.token, self.url = found["token"], found["nats_urls"][0]

    async def connect(self, context: ssl.SSLContext) -> None:
        """Connect, and listen as a device does."""

        async def quiet(_error: Exception) -> None: ...

        await self.client.connect(
            self.url,
            user_jwt_cb=self.token.encode,
            signature_cb=self._answer,
            tls=context,
            tls_handshake_first=True,
            allow_reconnect=False,
            connect_timeout=30,
            ping_interval=600,
            error_cb=quiet,
        )
        await self.client.subscribe(f"d.acme.{self.name}")
        await self.client.flush(timeout=30)

    def _answer(self, nonce: str) -> bytes:
        return b64encode(self.key.sign(nonce.encode()))


async def in_turn(work: list[Callable[[], Awaitable[object]]]) -> float:
    """Do it all, so many at once; seconds."""
    waiting = iter(work)

    async def worker() -> None:
        for one in waiting:
            await one()

    started = time.perf_counter()
    async with asyncio.TaskGroup() as group:
        for _ in range(AT_ONCE):
            group.create_task(worker())
    return time.perf_counter() - started


async def locked_out_ms(http: httpx.AsyncClient, device: Device) -> float:
    """From the request until the device's connection has ended."""
    started = time.perf_counter()
    asked = asyncio.create_task(http.post(f"/api/v1/devices/{device.name}/revoke"))
    while device.client.is_connected and not (asked.done() and asked.result().is_error):
        await asyncio.sleep(0.001)
    ended = time.perf_counter()
    answer = await asked
    assert answer.status_code == 200, answer.text
    return (ended - started) * 1000


async def log_in_ms(http: httpx.AsyncClient) -> float:
    """One log-in with a password."""
    started = time.perf_counter()
    answer = await http.post("/api/v1/auth/token", data={"username": OWNER, "password": PASSWORD})
    assert answer.status_code == 200, answer.text
    return (time.perf_counter() - started) * 1000


async def authorise(http: httpx.AsyncClient) -> None:
    """Go on as the owner."""
    opened = await http.post("/api/v1/auth/token", data={"username": OWNER, "password": PASSWORD})
    http.headers["Authorization"] = f"Bearer {opened.json()['access_token']}"


async def measure(site: Deployment, count: int, connections: int) -> list[Figure]:
    """All figures."""
    tls = site.tls()
    bounds = httpx.Limits(max_connections=AT_ONCE, max_keepalive_connections=AT_ONCE)
    async with httpx.AsyncClient(base_url=site.process.url, verify=tls, timeout=60, limits=bounds) as http:
        log_in = [await log_in_ms(http) for _ in range(LOG_INS)]
        await authorise(http)
        codes: list[str] = []
        while len(codes) < count:
            made = await http.post("/api/v1/claim-codes", json={"count": min(1000, count - len(codes))})
            codes += [one["code"] for one in made.json()["items"]]
        bare_s = await in_turn([lambda: http.get("/health") for _ in range(2000)])
        devices = [Device(number) for number in range(count)]
        enrol_s = await in_turn(
            [lambda d=device, c=code: d.enrol(http, c) for device, code in zip(devices, codes, strict=True)]
        )
        connected = devices[:connections]
        connect_s = await in_turn([lambda d=device: d.connect(tls) for device in connected])
        await authorise(http)  # the token before has run out meanwhile
        gone = [await locked_out_ms(http, device) for device in connected[:REVOCATIONS]]
        assert all(device.client.is_connected for device in connected[REVOCATIONS:]), "the others stay"
        for device in connected:
            await device.client.close()
    return [
        Figure("enrolments_per_s", count / enrol_s, "1/s", "", f"{count} in one run, {AT_ONCE} at once, HTTPS"),
        Figure(
            "bare_requests_per_s", 2000 / bare_s, "1/s", "", "GET /health, same clients; an enrolment is two requests"
        ),
        Figure("token_us", token_us(), "us", "", "signing a device's token alone"),
        Figure("connects_per_s", connections / connect_s, "1/s", "", "TLS 1.3, token, subscription; nats-py clients"),
        Figure(
            "revoke_ms", statistics.median(gone), "ms", "1000", f"request to closed, {connections} connected, median"
        ),
        Figure("revoke_max_ms", max(gone), "ms", "1000", f"worst of {REVOCATIONS}"),
        Figure("login_ms", statistics.median(log_in), "ms", "", "password (argon2) to token"),
    ]


def token_us() -> float:
    """What a signature costs, without anything around it."""
    signing, account, user = Key.make("A"), Key.make("A"), Key.make("U")
    started = time.perf_counter()
    for _ in range(1000):
        device_jwt(signing, account.public, user.public, "acme", "van-00001", 1, 2)
    return (time.perf_counter() - started) * 1000


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--enrolments", type=int, default=10_000)
    parser.add_argument("--connections", type=int, default=1_000)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="milepost-bench-") as name:
        site = Deployment(Path(name) / "d", "acme")
        site.process.start()
        try:
            report("identity", asyncio.run(measure(site, options.enrolments, options.connections)))
        finally:
            site.process.stop()


if __name__ == "__main__":
    main()
