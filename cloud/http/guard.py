"""The outermost layer: the names under which it may be called, security headers, one log line and one metric a request.

A page that is open in somebody's browser reaches what that browser reaches. So a Host that is no name of the service is
refused (DNS rebinding), and so is a request that changes something, or a WebSocket, whose Origin is not one
(cross-site requests).
"""

from ipaddress import ip_address
from time import perf_counter
from typing import Any
from urllib.parse import urlsplit

from litestar.types import ASGIApp, Message, Receive, Scope, Send
import msgspec
from prometheus_client import CollectorRegistry, Counter, Histogram
import structlog

from cloud.http.problem import MEDIA_TYPE, Problem

HEADERS = (
    (
        b"content-security-policy",
        b"default-src 'self'; script-src 'self'; worker-src 'self'; "
        b"style-src 'self' 'sha256-38RhXrc7EdReTKsOm23ZPOCUgniTUUcjky8QOOrQx6o='; img-src 'self' data: blob:; "
        b"connect-src 'self'; object-src 'none'; base-uri 'none'; form-action 'self'; frame-ancestors 'none'",
    ),
    (b"x-content-type-options", b"nosniff"),
    (b"referrer-policy", b"no-referrer"),
    (b"cross-origin-opener-policy", b"same-origin"),
    (b"cross-origin-resource-policy", b"same-origin"),
    (b"permissions-policy", b"geolocation=(), camera=(), microphone=()"),
)
# Not under a loopback name: it would hold for every other service on that machine, a demo's too.
HSTS = (b"strict-transport-security", b"max-age=31536000")
_SAFE = {"GET", "HEAD", "OPTIONS"}
_QUIET = {"/health", "/ready", "/metrics"}
log = structlog.get_logger()


def is_loopback(host: str) -> bool:
    """Whether a host name or address (no port) means this machine only."""
    if host == "localhost":
        return True
    try:
        return ip_address(host.strip("[]")).is_loopback
    except ValueError:
        return False


class HttpMetrics:
    """Counters of requests by route, method and status, and how long they took."""

    def __init__(self, registry: CollectorRegistry) -> None:
        self.requests = Counter(
            "milepost_http_requests_total", "Requests answered", ["method", "route", "status"], registry=registry
        )
        self.seconds = Histogram(
            "milepost_http_request_seconds",
            "Time to answer",
            ["route"],
            registry=registry,
            buckets=(0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 10),
        )


class Guard:
    """ASGI application around the whole service."""

    def __init__(self, app: ASGIApp, metrics: HttpMetrics, hosts: frozenset[str] = frozenset()) -> None:
        """`hosts`: names and addresses, beside those of loopback, under which the service may be called."""
        self._app = app
        self._metrics = metrics
        self._hosts = hosts

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Refuse, or pass on and add headers."""
        kind = str(scope["type"])
        if kind not in ("http", "websocket"):
            await self._app(scope, receive, send)
            return
        fault = self._fault(scope)
        if kind == "http":
            await self._http(scope, receive, send, fault)
        elif fault is None:
            await self._app(scope, receive, send)
        else:
            await send({"type": "websocket.close", "code": 4403, "reason": fault})

    def _fault(self, scope: Any) -> str | None:
        headers = {name: value.decode("latin-1") for name, value in scope["headers"] if name in (b"host", b"origin")}
        if not self._is_ours(_hostname(f"//{headers.get(b'host', '')}")):
            return "Host: expected a name of this service, such as localhost or 127.0.0.1 on its own machine"
        origin = headers.get(b"origin")
        is_checked = scope["type"] == "websocket" or scope["method"] not in _SAFE
        if is_checked and origin is not None and not self._is_ours(_hostname(origin)):
            return "Origin: expected a page of this service"
        return None

    def _is_ours(self, host: str) -> bool:
        return is_loopback(host) or host in self._hosts

    async def _http(self, scope: Any, receive: Receive, send: Send, fault: str | None) -> None:
        started = perf_counter()
        status = 500
        headers = _headers(scope)

        async def send_with_headers(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = int(message["status"])
                present = {name.lower() for name, _ in message["headers"]}
                message["headers"] = [*message["headers"], *(h for h in headers if h[0] not in present)]
            await send(message)

        try:
            if fault is not None:
                await _refuse(scope, send_with_headers, fault)
            else:
                await self._app(scope, receive, send_with_headers)
        finally:
            took_s = perf_counter() - started
            # The template, never the path itself: a query may hold a name or a plate.
            route = str(scope.get("path_template") or "(static)")
            method = str(scope["method"])
            self._metrics.requests.labels(method, route, str(status)).inc()
            self._metrics.seconds.labels(route).observe(took_s)
            write = log.debug if route in _QUIET or route == "(static)" else log.info
            write("request_answered", method=method, route=route, status=status, took_ms=round(took_s * 1000, 2))


def _headers(scope: Any) -> tuple[tuple[bytes, bytes], ...]:
    host = next((value.decode("latin-1") for name, value in scope["headers"] if name == b"host"), "")
    is_outside = scope.get("scheme") == "https" and not is_loopback(_hostname(f"//{host}"))
    return (*HEADERS, HSTS) if is_outside else HEADERS


def _hostname(address: str) -> str:
    """Of a URL; nothing for what is none."""
    try:
        return urlsplit(address).hostname or ""
    except ValueError:
        return ""


async def _refuse(scope: Any, send: Any, fault: str) -> None:
    body = msgspec.json.encode(Problem("/problems/forbidden", "Forbidden", 403, fault, scope["path"]))
    headers = [(b"content-type", MEDIA_TYPE.encode()), (b"content-length", str(len(body)).encode())]
    await send({"type": "http.response.start", "status": 403, "headers": headers})
    await send({"type": "http.response.body", "body": body})
