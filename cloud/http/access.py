"""Who calls, and whether the route's action is allowed: asked before anything of the request is read.

A token travels in `Authorization: Bearer`. Browsers cannot send that with a WebSocket, so there it is offered as a
subprotocol beside the real one, `new WebSocket(url, ["milepost.v1", "bearer." + token])`: never in an address, which
ends in logs.
"""

from collections.abc import Callable, Hashable, Iterable
from secrets import token_hex
from typing import Any

from litestar.connection import ASGIConnection
from litestar.exceptions import WebSocketException
from litestar.handlers import BaseRouteHandler
from litestar.types import ASGIApp, ControllerRouterHandler, Receive, Scope, Send

from cloud.http.parameters import MOST
from cloud.http.problem import Unauthenticated
from cloud.http.rates import Rates
from cloud.identity.policy import Action, Principal, may
from cloud.origin import Origin, acting
from sync_protocol.errors import Denied, NotFound

SUBPROTOCOL = "milepost.v1"
_OFFERED = "bearer."
_NOBODY, _FORBIDDEN = 4401, 4403

Identify = Callable[[str], Principal | None]
"""The principal behind a token; None for one that is not, or no longer, good."""


class Authenticate:
    """Litestar middleware: `scope["user"]` is the principal, or None; the caller is the origin of what follows."""

    def __init__(self, app: ASGIApp, identify: Identify) -> None:
        self._app = app
        self._identify = identify

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Identify, and pass on."""
        token = _token(scope)
        principal = None if token is None else self._identify(token)
        scope["user"] = principal
        with acting(_origin(scope, principal)):
            await self._app(scope, receive, send)


def guard_with(rates: Rates) -> Callable[[ASGIConnection[Any, Any, Any, Any], BaseRouteHandler], None]:
    """Litestar guard: 429 for who calls too often, 401 without a principal, 403 when it may not do the action."""

    def check(connection: ASGIConnection[Any, Any, Any, Any], handler: BaseRouteHandler) -> None:
        rates.take(_caller(connection.scope))
        # Litestar answers OPTIONS by itself, with the methods that a path has: all else names its action.
        is_options = connection.scope.get("method") == "OPTIONS"
        _check_access(connection, Action.PUBLIC if is_options else handler.opt["action"])
        _check_numbers(connection.scope["path_params"].values())

    return check


def _caller(scope: Scope) -> Hashable:
    principal, client = scope["user"], scope["client"]
    if isinstance(principal, Principal):
        return principal.kind, principal.number
    return "" if client is None else client[0]


def _check_access(connection: ASGIConnection[Any, Any, Any, Any], action: Action) -> None:
    if action is Action.PUBLIC:
        return
    principal: Principal | None = connection.scope["user"]
    is_socket = str(connection.scope["type"]) == "websocket"
    if principal is None:
        reason = "Expected a token of a session that lasts: log in."
        raise WebSocketException(detail=reason, code=_NOBODY) if is_socket else Unauthenticated(reason)
    if not may(principal, action):
        reason = f"Your role does not include {action}."
        raise WebSocketException(detail=reason, code=_FORBIDDEN) if is_socket else Denied(reason)


def _check_numbers(values: Iterable[Any]) -> None:
    """`NotFound` for a number in the address that no database holds, as for every other that nobody has."""
    if any(isinstance(value, int) and value > MOST for value in values):
        raise NotFound("There is nothing of this number.")


def principal_of(scope: Scope) -> Principal:
    """The caller of a route that is not public."""
    principal = scope["user"]
    assert isinstance(principal, Principal)
    return principal


def require_actions(handlers: Iterable[ControllerRouterHandler]) -> None:
    """`TypeError` for a route that does not say what it does: it must not be served."""
    for handler in handlers:
        opt = getattr(handler, "opt", {})
        if not isinstance(opt.get("action"), Action):
            raise TypeError(f"{handler}: expected action=Action.… in the route's decorator")


def _origin(scope: Scope, principal: Principal | None) -> Origin:
    handler = scope.get("route_handler")
    agent = next((value.decode("latin-1") for name, value in scope["headers"] if name == b"user-agent"), "")
    client = scope.get("client")
    return Origin(
        "nobody" if principal is None else principal.kind,
        None if principal is None else principal.number,
        "" if handler is None else handler.handler_name,
        "" if client is None else client[0],
        agent,
        token_hex(8),
    )


def _token(scope: Scope) -> str | None:
    for name, value in scope["headers"]:
        if name == b"authorization":
            scheme, _, token = value.decode("latin-1").partition(" ")
            return token.strip() if scheme.lower() == "bearer" else None
        if name == b"sec-websocket-protocol" and str(scope["type"]) == "websocket":
            for offered in value.decode("latin-1").split(","):
                if offered.strip().startswith(_OFFERED):
                    return offered.strip().removeprefix(_OFFERED)
    return None
