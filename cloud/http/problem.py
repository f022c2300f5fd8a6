"""Every error that leaves over HTTP, as RFC 9457 problem details, made in one function."""

from http import HTTPStatus
from math import ceil
import re
from typing import Any

from litestar import Request, Response
from litestar.exceptions import HTTPException
from litestar.openapi.datastructures import ResponseSpec
import msgspec
import structlog

from sync_protocol.errors import Conflict, Denied, Full, Invalid, MilepostError, NotFound, Rejected, Unavailable

MEDIA_TYPE = "application/problem+json"
log = structlog.get_logger()


class Unauthenticated(Denied):
    """Nobody is logged in with this request. `kind` names what is missing beyond a log-in."""

    def __init__(self, reason: str, kind: str | None = None) -> None:
        super().__init__(reason)
        self.kind = kind


class Throttled(Unavailable):
    """The caller asks too often: come back after `retry_after_s`."""


_STATUS: tuple[tuple[type[MilepostError], HTTPStatus], ...] = (
    (Unauthenticated, HTTPStatus.UNAUTHORIZED),
    (Throttled, HTTPStatus.TOO_MANY_REQUESTS),
    (NotFound, HTTPStatus.NOT_FOUND),
    (Invalid, HTTPStatus.BAD_REQUEST),
    (Rejected, HTTPStatus.UNPROCESSABLE_ENTITY),
    (Denied, HTTPStatus.FORBIDDEN),
    (Conflict, HTTPStatus.CONFLICT),
    (Full, HTTPStatus.INSUFFICIENT_STORAGE),
    (Unavailable, HTTPStatus.SERVICE_UNAVAILABLE),
)
CHALLENGE = {"WWW-Authenticate": "Bearer"}


class Fault(msgspec.Struct, frozen=True):
    """One thing that is wrong with a request: where (the parameter, or a JSON path) and what was expected there."""

    path: str
    expected: str


class Problem(msgspec.Struct, frozen=True, omit_defaults=True):
    """RFC 9457 problem details. `type` is a word of ours, as a relative URI."""

    type: str
    title: str
    status: int
    detail: str
    instance: str
    errors: tuple[Fault, ...] = ()


PROBLEMS = {
    status: ResponseSpec(Problem, generate_examples=False, description=description, media_type=MEDIA_TYPE)
    for status, description in (
        (400, "The request is wrong"),
        (401, "Nobody is logged in with this request"),
        (403, "The caller may not do this"),
        (404, "There is no such thing"),
        (409, "The request contradicts the present state"),
        (429, "The caller asks too often"),
        (503, "Something that is needed is away for the moment"),
    )
}
"""For the OpenAPI description of every route."""


class InvalidInput(Invalid):
    """A parameter or a field of the request's body is wrong."""

    def __init__(self, path: str, expected: str, got: str | None = None) -> None:
        super().__init__(f"{path}: expected {expected}" + (f", got {got!r}" if got is not None else ""))
        self.fault = Fault(path, expected)


def problem_response(request: Request[Any, Any, Any], error: Exception) -> Response[Problem]:
    """Turn any exception of a handler into a response; one that nobody named is a bug: logged, told as 500."""
    headers: dict[str, str] = {}
    kind: str | None = None
    faults: tuple[Fault, ...] = ()
    if isinstance(error, MilepostError):
        status = next((s for kind, s in _STATUS if isinstance(error, kind)), HTTPStatus.INTERNAL_SERVER_ERROR)
        detail = str(error)
        if isinstance(error, InvalidInput):
            faults = (error.fault,)
        if isinstance(error, Unauthenticated):
            kind = error.kind
            headers.update(CHALLENGE)
        if isinstance(error, Unavailable):
            headers["Retry-After"] = str(ceil(error.retry_after_s))
    elif isinstance(error, HTTPException):
        status = HTTPStatus(error.status_code)
        headers.update(error.headers or {})
        faults = _faults(error.extra) or _missing(error.detail)
        detail = "; ".join(f"{f.path}: expected {f.expected}" for f in faults) or _plain(status, error.detail)
    else:
        status = HTTPStatus.INTERNAL_SERVER_ERROR
        detail = "The request failed through a fault of the server; its log has the trace."
        log.error("request_failed", route=request.scope.get("path_template"), exc_info=error)
    body = Problem(
        type=f"/problems/{kind or status.phrase.lower().replace(' ', '-')}",
        title=status.phrase,
        status=status,
        detail=detail,
        instance=request.url.path,
        errors=faults,
    )
    return Response(body, status_code=status, media_type=MEDIA_TYPE, headers=headers)


def _plain(status: HTTPStatus, detail: str) -> str:
    if status is HTTPStatus.NOT_FOUND:
        return "Nothing lives at this address; /schema/openapi.json lists what does."
    return detail or status.description


def _faults(extra: Any) -> tuple[Fault, ...]:
    if not isinstance(extra, list):
        return ()
    return tuple(
        Fault(_PYTHON_NAMES.get(str(item.get("key", "$")), str(item.get("key", "$"))), _expectation(item["message"]))
        for item in extra
        if isinstance(item, dict) and "message" in item
    )


def _missing(detail: str) -> tuple[Fault, ...]:
    """Litestar tells of an absent parameter in words only."""
    found = _ABSENT.match(detail)
    return (Fault(found[1], "a value: it is required"),) if found else ()


_ABSENT = re.compile(r"Missing required \w+ parameter '(\w+)'")
# Parameters whose name is a word of Python.
_PYTHON_NAMES = {"from_": "from"}


def _expectation(message: str) -> str:
    text = message.removeprefix("Expected ").replace("`", "")
    return text[:1].lower() + text[1:] if text else "another value"
