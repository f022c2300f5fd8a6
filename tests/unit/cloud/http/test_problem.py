"""RFC 9457: every kind of error becomes the same shape."""

from typing import Annotated

from litestar import Litestar, get
from litestar.exceptions import HTTPException
from litestar.params import FromPath, QueryParameter
from litestar.testing import TestClient
import pytest

from cloud.http.problem import InvalidInput, problem_response
from sync_protocol.errors import Conflict, Denied, Full, Invalid, MilepostError, NotFound, Rejected, Unavailable

ERRORS: dict[str, Exception] = {
    "not_found": NotFound("There is no vehicle 7."),
    "invalid": Invalid("wrong"),
    "input": InvalidInput("points", "a number", "x"),
    "rejected": Rejected("never good"),
    "denied": Denied("no"),
    "conflict": Conflict("already"),
    "full": Full("no room"),
    "unavailable": Unavailable("away", 2.5),
    "bug": KeyError("secret"),
}


@get("/raise/{kind:str}")
async def fail(kind: FromPath[str]) -> None:
    """Raises."""
    raise ERRORS[kind]


@get("/checked")
async def checked(
    points: Annotated[int, QueryParameter(ge=2, le=9)], active: Annotated[bool, QueryParameter()] = False
) -> int:
    """Has parameters."""
    return points


@pytest.fixture
def client() -> TestClient[Litestar]:
    handlers = {MilepostError: problem_response, HTTPException: problem_response, Exception: problem_response}
    return TestClient(Litestar([fail, checked], exception_handlers=handlers, openapi_config=None))


@pytest.mark.parametrize(
    ("kind", "status"),
    [
        ("not_found", 404),
        ("invalid", 400),
        ("input", 400),
        ("rejected", 422),
        ("denied", 403),
        ("conflict", 409),
        ("full", 507),
        ("unavailable", 503),
        ("bug", 500),
    ],
)
def test_every_error_has_its_status_and_the_same_shape(client: TestClient[Litestar], kind: str, status: int) -> None:
    answer = client.get(f"/raise/{kind}")
    body = answer.json()
    assert answer.status_code == status
    assert answer.headers["content-type"] == "application/problem+json"
    assert body["status"] == status
    assert body["instance"] == f"/raise/{kind}"
    assert {"type", "title", "detail"} <= body.keys()


def test_a_bug_tells_nothing_of_itself(client: TestClient[Litestar]) -> None:
    assert "secret" not in client.get("/raise/bug").text


def test_unavailable_says_when_to_come_back(client: TestClient[Litestar]) -> None:
    assert client.get("/raise/unavailable").headers["retry-after"] == "3"


def test_faults_name_path_and_expectation(client: TestClient[Litestar]) -> None:
    assert client.get("/raise/input").json()["errors"] == [{"path": "points", "expected": "a number"}]
    assert client.get("/checked", params={"points": "x"}).json()["errors"][0]["path"] == "points"
    assert client.get("/checked", params={"points": 1}).json()["errors"] == [{"path": "points", "expected": "int >= 2"}]
    assert "points" in client.get("/checked").json()["detail"]


def test_unknown_addresses_and_methods(client: TestClient[Litestar]) -> None:
    assert "openapi" in client.get("/nowhere").json()["detail"]
    assert client.post("/checked").status_code == 405
