"""What the API says when a request is wrong: RFC 9457, with the parameter and the expectation."""

from base64 import urlsafe_b64encode
import json
from typing import Any

import httpx
import pytest

from tests.integration.api.conftest import Service


def problem(answer: httpx.Response, status: int) -> Any:
    assert answer.status_code == status, answer.text
    assert answer.headers["content-type"] == "application/problem+json"
    body = answer.json()
    assert body["status"] == status
    assert body["instance"] == answer.request.url.path
    return body


def beyond(*parts: object) -> str:
    """A cursor with a number in it that no database holds."""
    return urlsafe_b64encode(json.dumps(parts).encode()).decode().rstrip("=")


@pytest.mark.parametrize(
    ("path", "query", "parameter", "told"),
    [
        ("/vehicles", {"limit": "0"}, "limit", ">= 1"),
        ("/vehicles", {"limit": "many"}, "limit", "int"),
        ("/vehicles", {"cursor": "nonsense"}, "cursor", "next_cursor of an earlier page"),
        ("/vehicles", {"q": "x" * 81}, "q", "<= 80"),
        ("/vehicles/1/history", {}, "signals", "it is required"),
        ("/vehicles/1/history", {"signals": "speed"}, "signals", "did you mean speed_kmh"),
        ("/vehicles/1/history", {"signals": "speed_kmh", "points": "1"}, "points", ">= 2"),
        ("/vehicles/1/history", {"signals": "speed_kmh", "from": "noon"}, "from", "2026-03-01T12:00:00Z"),
        (
            "/vehicles/1/history",
            {"signals": "speed_kmh", "from": "2026-03-02T00:00:00Z", "to": "2026-03-01T00:00:00Z"},
            "from",
            "before `to`",
        ),
        ("/vehicles/1/extremes", {"signals": "board"}, "signals", "did you mean board_c"),
        ("/vehicles/1/track", {"to": "2026-03-01"}, "to", "with its zone"),
        ("/vehicles/1/states", {"from": "x"}, "from", "instant"),
        ("/vehicles/1/faults", {"active": "maybe"}, "active", "bool"),
        ("/vehicles/1/events", {"limit": "5000"}, "limit", "<= 1000"),
        ("/vehicles/1/events", {"cursor": "WyJhIiwxXQ"}, "cursor", "next_cursor"),
        ("/vehicles", {"cursor": beyond("a", 2**63)}, "cursor", "next_cursor"),
        ("/vehicles/1/events", {"cursor": beyond(1, 1, 1, 2**70)}, "cursor", "next_cursor"),
    ],
)
def test_a_wrong_parameter_is_named(
    service: Service, path: str, query: dict[str, str], parameter: str, told: str
) -> None:
    body = problem(service.http.get(f"/api/v1{path}", params=query), 400)
    assert parameter in [error["path"] for error in body["errors"]]
    assert told in body["detail"]


@pytest.mark.parametrize(
    "path",
    ["/vehicles/999999", "/vehicles/999999/state", "/vehicles/999999/states", "/vehicles/999999/faults",
     "/vehicles/999999/events", "/vehicles/999999/track", "/vehicles/999999/history?signals=speed_kmh",
     "/vehicles/999999/extremes?signals=speed_kmh",
     "/devices/nobody", "/devices/nobody/ledger"],
)  # fmt: skip
def test_what_is_not_there(service: Service, path: str) -> None:
    assert "There is no" in problem(service.http.get(f"/api/v1{path}"), 404)["detail"]


def test_a_number_that_no_database_holds(service: Service) -> None:
    for path in (
        "/vehicles/{}",
        "/vehicles/{}/events",
        "/members/{}",
        "/api-keys/{}",
        "/invitations/{}",
        "/claim-codes/{}",
    ):
        method = "GET" if path.startswith("/vehicles") else "DELETE"
        problem(service.http.request(method, f"/api/v1{path.format(2**63)}"), 404)
    problem(service.http.patch(f"/api/v1/vehicles/{2**70}", json={"plate": "X"}), 404)


def test_what_is_no_address(service: Service) -> None:
    assert "openapi" in problem(service.http.get("/api/v1/nothing"), 404)["detail"]
    problem(service.http.get("/api/v1/vehicles/abc"), 404)
    problem(service.http.delete("/api/v1/vehicles"), 405)


@pytest.mark.parametrize(
    "body",
    [{"name": ""}, {"name": None}, {"year": "old"}, {"year": 1700}, {"plate": "x" * 21}, {"owner": "me"}, [1], "text"],
)
def test_a_wrong_change_is_refused_and_changes_nothing(service: Service, body: Any) -> None:
    before = service.http.get("/api/v1/vehicles/1").json()
    problem(service.http.patch("/api/v1/vehicles/1", json=body), 400)
    after = service.http.get("/api/v1/vehicles/1").json()
    assert {k: after[k] for k in ("name", "plate", "year")} == {k: before[k] for k in ("name", "plate", "year")}


def test_a_body_that_is_no_json_or_too_large(service: Service) -> None:
    problem(service.http.patch("/api/v1/vehicles/1", content=b"{", headers={"Content-Type": "application/json"}), 400)
    big = b'{"name": "' + b"x" * 100_000 + b'"}'
    answer = service.http.patch("/api/v1/vehicles/1", content=big, headers={"Content-Type": "application/json"})
    problem(answer, 413)


def test_other_hosts_and_other_sites_are_refused(service: Service) -> None:
    problem(service.http.get("/api/v1/vehicles", headers={"Host": "evil.example"}), 403)
    headers = {"Origin": "https://evil.example"}
    problem(service.http.post("/api/v1/vehicles/1/watch", headers=headers), 403)


def test_the_web_app_is_not_in_the_way(service: Service) -> None:
    answer = service.http.get("/api/v1/nothing", headers={"Accept": "text/html"})
    problem(answer, 404)
