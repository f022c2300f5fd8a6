"""Every operation of the API, and every WebSocket: who is refused, and that nobody learns anything of another tenant.

The operations come from the service's own OpenAPI document, the paths' parameters from real objects of the tenants. A
new operation is in all of it by itself. One that needs what is not known here (another kind of object, a body, a query)
fails, and says what to add.
"""

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from itertools import combinations
import json
import re
from typing import Any, NamedTuple

import httpx
import jwt
from litestar.handlers import HTTPRouteHandler, WebsocketRouteHandler
import pytest
from websockets.exceptions import ConnectionClosed, InvalidStatus
from websockets.sync.client import ClientConnection, connect

from cloud.app import V1_ROUTES
from cloud.identity.policy import TABLE, Action, Role
from cloud.identity.service import SECRET
from cloud.identity.sessions import Caller
from cloud.identity.tokens import Tokens
from tests.support.caller import subprotocols
from tests.support.engines import ENGINES
from tests.support.two_tenants import MARK, OURS, TENANTS, THEIRS, TwoTenants, user_of

PREFIX = "/api/v1"
PUBLIC = {
    ("GET", "/auth/ways"),
    ("POST", "/auth/token"),
    ("POST", "/auth/demo"),
    ("POST", "/auth/refresh"),
    ("POST", "/auth/log-out"),
    ("POST", "/auth/password-resets"),
    ("POST", "/auth/password-resets/use"),
    ("POST", "/auth/invitations/look"),
    ("POST", "/auth/invitations/accept"),
    # A device has no log-in: it comes with a claim code, or with the proof of its key.
    ("GET", "/enrolments/authority"),
    ("POST", "/enrolments/challenges"),
    ("POST", "/enrolments"),
    ("POST", "/enrolments/renewals"),
}
"""What needs no log-in. Whoever adds to this says why in the review."""
QUERIES = {"signals": "speed_kmh"}
"""Values of query parameters that are required."""
BODIES: dict[str, dict[str, Any]] = {
    "VehicleChange": {"plate": "stolen"},
    "PullRequest": {"from": "2026-01-01T00:00:00Z", "to": "2026-01-01T01:00:00Z"},
    "RoleChange": {"role": "driver"},
    "InvitationOrder": {"email": "new@fleet.example", "role": "driver"},
    "OneTimeCode": {"code": "000000"},
    "ApiKeyOrder": {"name": "report", "actions": ["fleet.read"]},
    "ClaimRequest": {"vehicle_id": "{vehicle_id}"},
    "Move": {"vehicle_id": "{vehicle_id}"},
    "PasswordChange": {"current_password": "not this one", "new_password": "some other lantern"},
}
"""A body that is right in form, for each schema that a request has. `{name}` is an object's number, as in a path."""
_CALLER = Caller("192.0.2.1", "test")
# What differs between two answers although nothing is told by it.
_HEADERS_OF_THE_MOMENT = {"date"}


class Operation(NamedTuple):
    """One operation of the OpenAPI document, with the action that its route names."""

    method: str
    path: str
    action: Action
    parameters: tuple[str, ...]
    query: dict[str, str]
    body: Any

    def __str__(self) -> str:
        return f"{self.method} {self.path}"


@pytest.fixture(scope="module", params=ENGINES)
def world(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[TwoTenants]:
    url = request.getfixturevalue("postgres").empty_database() if request.param == "postgres" else None
    made = TwoTenants(tmp_path_factory.mktemp("two") / "d", url)
    try:
        made.start()
        yield made
    finally:
        made.stop()


@pytest.fixture(scope="module")
def operations(world: TwoTenants) -> list[Operation]:
    document = httpx.get(f"{world.cloud.url}/schema/openapi.json").json()
    actions = {
        (method, re.sub(r":\w+\}", "}", path)): handler.opt["action"]
        for handler in V1_ROUTES
        if isinstance(handler, HTTPRouteHandler)
        for path in handler.paths
        for method in handler.http_methods
    }
    found = [
        _operation(document, method.upper(), path.removeprefix(PREFIX), operation, actions)
        for path, methods in document["paths"].items()
        if path.startswith(PREFIX)
        for method, operation in methods.items()
    ]
    assert {(o.method, o.path) for o in found} == actions.keys(), "an operation that the document hides"
    return found


def _operation(document: Any, method: str, path: str, operation: Any, actions: Any) -> Operation:
    parameters = operation.get("parameters", [])
    required = [p["name"] for p in parameters if p["in"] == "query" and p.get("required")]
    assert set(required) <= QUERIES.keys(), f"{method} {path}: add a value to QUERIES"
    action, body = actions[method, path], None
    content = operation.get("requestBody", {}).get("content", {}).get("application/json")
    if content and action is not Action.PUBLIC:
        name = content["schema"]["$ref"].rpartition("/")[2]
        assert name in BODIES, f"{method} {path}: add a body that is right in form to BODIES for {name}"
        body = BODIES[name]
    inside = [value for value in (body or {}).values() if _is_reference(value)]
    names = dict.fromkeys(re.findall(r"\{(\w+)\}", "".join([path, *inside])))
    return Operation(method, path, action, tuple(names), {name: QUERIES[name] for name in required}, body)


def _is_reference(value: Any) -> bool:
    return isinstance(value, str) and value.startswith("{")


def call(http: httpx.Client, operation: Operation, objects: dict[str, str]) -> httpx.Response:
    unknown = set(operation.parameters) - objects.keys()
    assert not unknown, f"{operation}: add an object of each tenant under {unknown} to TwoTenants.objects"
    path = operation.path.format(**objects)
    body = operation.body and {
        name: int(objects[value[1:-1]]) if _is_reference(value) else value for name, value in operation.body.items()
    }
    return http.request(operation.method, PREFIX + path, params=operation.query, json=body)


def missing(value: str) -> str:
    """An id of the same length that nobody has."""
    return "9" * len(value) if value.isdigit() else value[:-1] + ("0" if value[-1] != "0" else "1")


def told(answer: httpx.Response, objects: dict[str, str]) -> tuple[Any, ...]:
    """An answer without the ids that the caller itself wrote into the address."""
    text = answer.text
    for name, value in objects.items():
        text = re.sub(rf"(?<![\w-]){re.escape(value)}(?![\w-])", f"<{name}>", text)
    headers = {name: value for name, value in answer.headers.items() if name not in _HEADERS_OF_THE_MOMENT}
    return answer.status_code, text, headers


def test_what_is_public_is_meant_to_be(operations: list[Operation]) -> None:
    assert {(o.method, o.path) for o in operations if o.action is Action.PUBLIC} == PUBLIC


def bad_tokens(world: TwoTenants) -> dict[str, str | None]:
    good = world.token(THEIRS, Role.OWNER)
    secret = (world.config.data_dir / SECRET).read_bytes()
    claims = jwt.decode(good, options={"verify_signature": False})
    head, body, mac = good.split(".")
    yesterday = Tokens(secret, lambda: datetime.now(UTC) - timedelta(days=1))
    opened = world.call(
        world.cloud.people.sessions.open(user_of(THEIRS, Role.OWNER), TENANTS[THEIRS], Role.OWNER, _CALLER)
    )
    session_id = opened.refresh.split(".")[0]
    world.call(world.cloud.people.sessions.end(session_id, "ended"))
    return {
        "none": None,
        "nonsense": "nonsense",
        "expired": yesterday.access(claims["sid"], int(claims["sub"])),
        "altered": f"{head}.{body[:-2]}{'AA' if body[-2:] != 'AA' else 'BB'}.{mac}",
        "of another key": Tokens(b"\x07" * 32, lambda: datetime.now(UTC)).access(claims["sid"], int(claims["sub"])),
        "unsigned": jwt.encode(claims, "", "none"),
        "ended": opened.access,
        "a refresh token": opened.refresh,
    }


def test_without_a_good_token_everything_is_refused_alike(world: TwoTenants, operations: list[Operation]) -> None:
    for kind, token in bad_tokens(world).items():
        headers = {} if token is None else {"Authorization": f"Bearer {token}"}
        with httpx.Client(base_url=world.cloud.url, timeout=20, headers=headers) as http:
            for operation in operations:
                if operation.action is Action.PUBLIC:
                    continue
                theirs = world.objects[THEIRS]
                absent = {name: missing(value) for name, value in theirs.items()}
                one, other = call(http, operation, theirs), call(http, operation, absent)
                assert one.status_code == 401, (str(operation), kind)
                assert one.headers["www-authenticate"] == "Bearer"
                assert told(one, theirs) == told(other, absent), (str(operation), kind)
                assert MARK not in one.text.replace(theirs["device_id"], "")


@pytest.mark.parametrize("role", Role)
def test_a_role_does_what_the_table_says_and_no_more(
    world: TwoTenants, operations: list[Operation], role: Role
) -> None:
    absent = {name: missing(value) for name, value in world.objects[OURS].items()}
    with world.client(OURS, role) as http:
        for operation in operations:
            if operation.action is Action.PUBLIC:
                continue
            answer = call(http, operation, absent)
            if operation.action in TABLE[role]:
                assert answer.status_code not in (401, 403), (str(operation), answer.text)
                assert answer.status_code < 500, (str(operation), answer.text)
            else:
                assert answer.status_code == 403, (str(operation), answer.text)
                assert answer.json()["detail"] == f"Your role does not include {operation.action}."
                assert told(answer, absent) == told(call(http, operation, world.objects[OURS]), world.objects[OURS])


def test_an_object_of_another_tenant_is_as_one_that_is_not_there(
    world: TwoTenants, operations: list[Operation]
) -> None:
    """Also where only a part is foreign: our vehicle and their pull, our device and, in the body, their vehicle."""
    ours, theirs = world.objects[OURS], world.objects[THEIRS]
    seen = 0
    with world.client(OURS, Role.OWNER) as http:
        for operation in operations:
            if operation.action is Action.PUBLIC:
                continue
            for count in range(1, len(operation.parameters) + 1):
                for foreign in combinations(operation.parameters, count):
                    there = ours | {name: theirs[name] for name in foreign}
                    absent = ours | {name: missing(theirs[name]) for name in foreign}
                    one, other = call(http, operation, there), call(http, operation, absent)
                    assert one.status_code == 404, (str(operation), foreign, one.text)
                    assert told(one, there) == told(other, absent), (str(operation), foreign)
                    seen += 1
    assert seen > 15


def test_lists_and_counts_hold_nothing_of_another_tenant(world: TwoTenants, operations: list[Operation]) -> None:
    with world.client(OURS, Role.OWNER) as http:
        for operation in operations:
            if operation.method == "GET" and operation.action is not Action.PUBLIC:
                answer = call(http, operation, world.objects[OURS])
                assert answer.status_code == 200, (str(operation), answer.text)
                assert MARK not in answer.text, str(operation)
        summary = http.get(f"{PREFIX}/summary").json()
        assert (summary["vehicles"]["total"], summary["frames"]["stored"]) == (1, 3)
        for word in (MARK, f"Van {MARK}"):
            assert http.get(f"{PREFIX}/vehicles", params={"q": word}).json()["items"] == []


def test_what_was_tried_has_changed_nothing(world: TwoTenants) -> None:
    with world.client(THEIRS, Role.OWNER) as http:
        theirs = world.objects[THEIRS]
        vehicle = http.get(f"{PREFIX}/vehicles/{theirs['vehicle_id']}").json()
        assert (vehicle["plate"], vehicle["name"]) == (MARK, f"Van {MARK}")
        (pull,) = http.get(f"{PREFIX}/vehicles/{theirs['vehicle_id']}/pulls").json()["items"]
        assert pull["state"] == "requested"
        sessions = [session["id"] for session in http.get(f"{PREFIX}/auth/sessions").json()["items"]]
        assert theirs["session_id"] in sessions


SOCKETS = [handler for handler in V1_ROUTES if isinstance(handler, WebsocketRouteHandler)]


@pytest.mark.parametrize("handler", SOCKETS, ids=[sorted(handler.paths)[0] for handler in SOCKETS])
def test_sockets(world: TwoTenants, handler: WebsocketRouteHandler) -> None:
    (path,) = handler.paths
    url = world.cloud.url.replace("http", "ws") + PREFIX + path
    for kind, token in bad_tokens(world).items():
        offered = None if not token else subprotocols(token)
        with pytest.raises(InvalidStatus) as refused, connect(url, subprotocols=offered):
            pass
        assert refused.value.response.status_code == 403, kind
        assert not refused.value.response.body, kind
    action = handler.opt["action"]
    assert action is not Action.PUBLIC
    for role in Role:
        if action not in TABLE[role]:
            with pytest.raises(InvalidStatus), connect(url, subprotocols=subprotocols(world.token(OURS, role))):
                pass
    theirs = world.objects[THEIRS]["vehicle_id"]
    for query in ("", f"?vehicles={theirs}"):
        with connect(url + query, subprotocols=subprotocols(world.token(OURS, Role.OWNER))) as socket:
            text = socket.recv(timeout=20)
        assert isinstance(text, str)
        assert MARK not in text
        assert theirs not in [str(vehicle["id"]) for vehicle in json.loads(text)["vehicles"]]


def test_a_socket_ends_with_its_session(world: TwoTenants) -> None:
    sessions = world.cloud.people.sessions
    opened = world.call(sessions.open(user_of(OURS, Role.OWNER), TENANTS[OURS], Role.OWNER, _CALLER))
    url = world.cloud.url.replace("http", "ws") + f"{PREFIX}/live"
    with connect(url, subprotocols=subprotocols(opened.access)) as socket:
        socket.recv(timeout=20)
        world.call(sessions.end(opened.refresh.split(".")[0], "ended"))
        with pytest.raises(ConnectionClosed):
            _read_on(socket)
        assert socket.close_code == 4401


def _read_on(socket: ClientConnection) -> None:
    while True:
        socket.recv(timeout=20)
