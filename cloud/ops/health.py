"""HTTP: whether the process lives, whether it can do its work, and its metrics. Outside /api/v1, never cached."""

import asyncio
from collections.abc import Awaitable, Callable, Mapping

from litestar import Response, get
from litestar.di import NamedDependency
import msgspec
from prometheus_client import CollectorRegistry
from prometheus_client.exposition import CONTENT_TYPE_LATEST, generate_latest

from sync_protocol.errors import Unavailable

PATIENCE_S = 2.0
NO_STORE = {"Cache-Control": "no-store"}


class Check(msgspec.Struct, frozen=True):
    """One thing the service needs, in plain words."""

    name: str
    is_ok: bool
    detail: str


class Health(msgspec.Struct, frozen=True):
    """The process lives."""

    status: str
    version: str


class Readiness(msgspec.Struct, frozen=True):
    """All checks; ready when every one is."""

    is_ready: bool
    checks: list[Check]


Probe = Callable[[], Awaitable[str]]
"""Returns a detail when all is well, raises `Unavailable` with one when not."""


class Probes:
    """What `/ready` asks, by name, in order."""

    def __init__(self, probes: Mapping[str, Probe], version: str, registry: CollectorRegistry) -> None:
        self._probes = dict(probes)
        self.version = version
        self.registry = registry

    async def readiness(self) -> Readiness:
        """Ask all at once; one that does not answer in time has failed."""
        checks = await asyncio.gather(*(_ask(name, probe) for name, probe in self._probes.items()))
        return Readiness(all(check.is_ok for check in checks), list(checks))


async def _ask(name: str, probe: Probe) -> Check:
    try:
        async with asyncio.timeout(PATIENCE_S):
            return Check(name, True, await probe())
    except Unavailable as err:
        return Check(name, False, str(err))
    except TimeoutError:
        return Check(name, False, f"no answer within {PATIENCE_S:g} s")


@get("/health", tags=["operations"])
async def get_health(probes: NamedDependency[Probes]) -> Response[Health]:
    """200 while the process lives."""
    return Response(Health("alive", probes.version), headers=NO_STORE)


@get("/ready", tags=["operations"])
async def get_readiness(probes: NamedDependency[Probes]) -> Response[Readiness]:
    """200 when everything the service needs is there, 503 with the reason when not."""
    readiness = await probes.readiness()
    return Response(readiness, status_code=200 if readiness.is_ready else 503, headers=NO_STORE)


@get("/metrics", media_type=CONTENT_TYPE_LATEST, tags=["operations"])
async def get_metrics(probes: NamedDependency[Probes]) -> Response[bytes]:
    """Prometheus text."""
    return Response(generate_latest(probes.registry), media_type=CONTENT_TYPE_LATEST, headers=NO_STORE)


ROUTES = [get_health, get_readiness, get_metrics]
