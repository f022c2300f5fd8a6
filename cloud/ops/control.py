"""The local Unix socket: what the command line asks of the running process. Only this user may open it."""

from collections.abc import Awaitable, Callable
import http.client
from pathlib import Path
from secrets import token_hex
import socket
from typing import Any, TypeVar

from litestar import Litestar, get, post
from litestar.di import NamedDependency, Provide
from litestar.exceptions import HTTPException
from litestar.params import FromQuery, JSONBody
from litestar.types import ASGIApp, Receive, Scope, Send
import msgspec

from cloud.enrolment.payloads import NewClaims
from cloud.http.problem import Problem, problem_response
from cloud.ops import audit, people
from cloud.ops.audit import AuditAdmin
from cloud.ops.health import Readiness
from cloud.ops.people import PeopleAdmin
from cloud.origin import Origin, acting, operator_agent
from sync_protocol.errors import MilepostError, Rejected, Unavailable

SOCKET = "control.sock"
TIMEOUT_S = 600.0
T = TypeVar("T")


class Status(msgspec.Struct, frozen=True):
    """The running process."""

    version: str
    pid: int
    url: str
    nats_url: str
    tenant: str
    readiness: Readiness


class Quarantined(msgspec.Struct, frozen=True):
    """Bytes that were set aside. `times` is how often the device has sent them."""

    id: int
    device: str
    stream_no: int | None
    seq: int | None
    kind: str
    reason: str
    first_seen: str
    last_seen: str
    times: int
    size_bytes: int


class Replay(msgspec.Struct, frozen=True):
    """Which quarantined entries to put through ingest again; none named: all."""

    ids: list[int] = []


class Replayed(msgspec.Struct, frozen=True):
    """What became of them: `stored` left quarantine, `kept` were set aside again."""

    replayed: int
    stored: int
    kept: int


class Verdict(msgspec.Struct, frozen=True):
    """Whether frames, ledger and samples agree; each fault in words."""

    is_consistent: bool
    faults: list[str]
    figures: dict[str, int]


class ClaimOrder(msgspec.Struct, frozen=True):
    """Claim codes that the command line asks for, for a tenant by its name."""

    tenant: str
    count: int
    days: int
    vehicle_id: int | None = None


class Place(msgspec.Struct, frozen=True):
    """A device by its name, of a tenant by its name."""

    tenant: str
    device: str


class Control(msgspec.Struct, frozen=True):
    """What the socket offers, bound to the running service."""

    status: Callable[[], Awaitable[Status]]
    quarantined: Callable[[], Awaitable[list[Quarantined]]]
    replay: Callable[[list[int]], Awaitable[Replayed]]
    verify: Callable[[], Awaitable[Verdict]]
    make_claims: Callable[[ClaimOrder], Awaitable[NewClaims]]
    admit: Callable[[Place], Awaitable[None]]


@get("/status")
async def get_status(control: NamedDependency[Control]) -> Status:
    """The running process."""
    return await control.status()


@get("/quarantine")
async def list_quarantine(control: NamedDependency[Control], limit: FromQuery[int] = 1000) -> list[Quarantined]:
    """What lies in quarantine."""
    return (await control.quarantined())[:limit]


@post("/quarantine/replay", status_code=200)
async def replay_quarantine(control: NamedDependency[Control], data: JSONBody[Replay]) -> Replayed:
    """Put quarantined bytes through ingest again."""
    return await control.replay(data.ids)


@get("/verify")
async def verify(control: NamedDependency[Control]) -> Verdict:
    """Compare frames, ledger and samples."""
    return await control.verify()


@post("/claims", status_code=200)
async def make_claims(control: NamedDependency[Control], data: JSONBody[ClaimOrder]) -> NewClaims:
    """Make claim codes."""
    return await control.make_claims(data)


@post("/devices", status_code=200)
async def admit(control: NamedDependency[Control], data: JSONBody[Place]) -> Place:
    """Make a device, without a key, for what is brought in by hand; nothing happens when it is there."""
    await control.admit(data)
    return data


class Operated:
    """Litestar middleware: what comes by the socket, the operator of the service does, who says the own name."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Say so, and pass on."""
        agent = next((value.decode("latin-1") for name, value in scope["headers"] if name == b"user-agent"), "")
        who = Origin("operator", operation=scope["route_handler"].handler_name, agent=agent, request_id=token_hex(8))
        with acting(who):
            await self._app(scope, receive, send)


def control_app(control: Control, people_admin: PeopleAdmin, audit_admin: AuditAdmin) -> Litestar:
    """The application behind the socket."""
    return Litestar(
        [get_status, list_quarantine, replay_quarantine, verify, make_claims, admit, *people.ROUTES, *audit.ROUTES],
        middleware=[Operated],
        dependencies={
            "control": Provide(lambda: control, sync_to_thread=False),
            "people_admin": Provide(lambda: people_admin, sync_to_thread=False),
            "audit_admin": Provide(lambda: audit_admin, sync_to_thread=False),
        },
        exception_handlers={
            MilepostError: problem_response,
            HTTPException: problem_response,
            Exception: problem_response,
        },
        openapi_config=None,
        logging_config=None,
    )


class _UnixConnection(http.client.HTTPConnection):
    def __init__(self, path: Path) -> None:
        super().__init__("localhost", timeout=TIMEOUT_S)
        self._path = path

    def connect(self) -> None:
        self.sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self.sock.settimeout(self.timeout)
        self.sock.connect(str(self._path))


class ControlClient:
    """Asks the process that runs over a data directory."""

    def __init__(self, data_dir: Path) -> None:
        self._path = data_dir / SOCKET

    def is_running(self) -> bool:
        """Whether a process answers on the socket."""
        try:
            self.ask("GET", "/status", Status)
        except Unavailable:
            return False
        return True

    def ask(self, method: str, path: str, kind: type[T], body: Any = None) -> T:
        """One request. `Unavailable` when no process is there, `Rejected` with its words when it refuses."""
        connection = _UnixConnection(self._path)
        try:
            data = None if body is None else msgspec.json.encode(body)
            connection.request(method, path, data, {"Content-Type": "application/json", "User-Agent": operator_agent()})
            answer = connection.getresponse()
            content = answer.read()
        except (OSError, http.client.HTTPException) as err:
            raise Unavailable(f"no milepost-cloud runs here ({self._path}: {err})") from err
        finally:
            connection.close()
        if answer.status >= 400:
            raise Rejected(msgspec.json.decode(content, type=Problem).detail)
        return msgspec.json.decode(content, type=kind)
