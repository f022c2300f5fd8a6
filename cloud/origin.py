"""Who causes what happens now: set where a request or a command comes in, handed on to the thread that writes."""

from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from getpass import getuser
from typing import Literal, NamedTuple

OriginKind = Literal["user", "key", "nobody", "operator", "service"]


class Origin(NamedTuple):
    """A caller. `number`: the user's or the API key's; `operation`: what was called, by the handler's name.

    `nobody` is a caller without a log-in, `operator` whoever runs the command line of the service, `service` itself.
    """

    kind: OriginKind
    number: int | None = None
    operation: str = ""
    address: str = ""
    agent: str = ""
    request_id: str = ""


SERVICE = Origin("service")
_now: ContextVar[Origin] = ContextVar("origin", default=SERVICE)


def origin() -> Origin:
    """Who causes what happens now; the service itself, unless somebody has said otherwise."""
    return _now.get()


def operator_agent() -> str:
    """What the command line says about who runs it: the user of this machine, as far as the system tells."""
    try:
        return f"milepost-cloud, {getuser()}".encode("ascii", "replace").decode()
    except (KeyError, OSError):
        return "milepost-cloud"


@contextmanager
def acting(who: Origin) -> Iterator[None]:
    """Within the block `who` causes what happens."""
    token = _now.set(who)
    try:
        yield
    finally:
        _now.reset(token)
