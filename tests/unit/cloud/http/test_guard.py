"""Who may call while there is no log-in, and what every answer carries."""

import asyncio
from typing import Any

from prometheus_client import CollectorRegistry
import pytest

from cloud.http.guard import Guard, HttpMetrics, is_loopback


async def inner(scope: Any, receive: Any, send: Any) -> None:
    """Answers 200, as the service would."""
    scope["path_template"] = "/inner/{id}"
    if scope["type"] == "websocket":
        await send({"type": "websocket.accept"})
        return
    await send({"type": "http.response.start", "status": 200, "headers": [(b"x-content-type-options", b"own")]})
    await send({"type": "http.response.body", "body": b"ok"})


class Caller:
    """Calls the guarded application without a server."""

    def __init__(self) -> None:
        self.registry = CollectorRegistry()
        self.guard = Guard(inner, HttpMetrics(self.registry))

    def call(
        self, headers: dict[str, str], kind: str = "http", method: str = "GET", scheme: str = "http"
    ) -> list[dict[str, Any]]:
        sent: list[dict[str, Any]] = []

        async def send(message: dict[str, Any]) -> None:
            sent.append(message)

        async def receive() -> dict[str, Any]:
            return {"type": "http.request"}

        raw = [(name.encode(), value.encode()) for name, value in headers.items()]
        scope = {"type": kind, "method": method, "scheme": scheme, "path": "/inner/1", "headers": raw}
        asyncio.run(self.guard(scope, receive, send))
        return sent


@pytest.mark.parametrize("host", ["localhost", "localhost:8080", "127.0.0.1:1", "[::1]:8080", "127.1.2.3"])
def test_this_machine_may_call(host: str) -> None:
    sent = Caller().call({"host": host})
    assert sent[0]["status"] == 200
    names = [name for name, _ in sent[0]["headers"]]
    assert b"content-security-policy" in names
    assert names.count(b"x-content-type-options") == 1


@pytest.mark.parametrize("host", ["evil.example", "evil.example:8080", "10.0.0.1", "", "localhost.evil.example"])
def test_other_names_may_not(host: str) -> None:
    sent = Caller().call({"host": host})
    assert sent[0]["status"] == 403
    assert b"Host: expected a name of this service" in sent[1]["body"]
    assert b"content-security-policy" in [name for name, _ in sent[0]["headers"]]


@pytest.mark.parametrize(
    ("origin", "status"), [("http://localhost:5173", 200), ("https://evil.example", 403), ("null", 403)]
)
def test_changes_from_other_sites_are_refused(origin: str, status: int) -> None:
    assert Caller().call({"host": "localhost", "origin": origin}, method="PATCH")[0]["status"] == status


def test_reading_from_another_site_is_left_to_the_browser() -> None:
    assert Caller().call({"host": "localhost", "origin": "https://evil.example"})[0]["status"] == 200


def test_websockets_of_other_sites_are_closed() -> None:
    caller = Caller()
    assert caller.call({"host": "localhost", "origin": "https://evil.example"}, "websocket")[0]["code"] == 4403
    assert caller.call({"host": "localhost", "origin": "http://127.0.0.1:80"}, "websocket")[0]["type"] == (
        "websocket.accept"
    )


def test_requests_are_counted_by_template() -> None:
    caller = Caller()
    caller.call({"host": "localhost"})
    labels = {"method": "GET", "route": "/inner/{id}", "status": "200"}
    assert caller.registry.get_sample_value("milepost_http_requests_total", labels) == 1


def test_what_is_this_machine() -> None:
    assert all(is_loopback(host) for host in ("localhost", "127.0.0.1", "::1", "[::1]"))
    assert not any(is_loopback(host) for host in ("example.com", "0.0.0.0", "", "127.0.0.1.example.com"))


@pytest.mark.parametrize(
    ("scheme", "host", "is_told"),
    [("https", "fleet.example", True), ("http", "fleet.example", False), ("https", "localhost", False)],
)
def test_browsers_are_told_to_stay_with_https_where_that_hurts_nobody(scheme: str, host: str, is_told: bool) -> None:
    caller = Caller()
    caller.guard = Guard(inner, HttpMetrics(CollectorRegistry()), frozenset({"fleet.example"}))
    names = [name for name, _ in caller.call({"host": host}, scheme=scheme)[0]["headers"]]
    assert (b"strict-transport-security" in names) is is_told
