"""Who is connected, by key, and whether one key is at work in two places.

A device that lost its network leaves a dead connection behind until the broker notices, so two connections prove
nothing. Two that both go on sending do: then somebody has copied the key.
"""

from collections.abc import Iterable
from typing import NamedTuple

import msgspec


class Look(NamedTuple):
    """A connection as the broker describes it. `sent`: messages it has published so far."""

    user: str
    cid: int
    sent: int


class _Client(msgspec.Struct):
    id: int = 0
    user: str = ""


class _Event(msgspec.Struct):
    type: str
    client: _Client


class _Connection(msgspec.Struct):
    cid: int
    in_msgs: int = 0
    authorized_user: str = ""


class _Data(msgspec.Struct):
    connections: list[_Connection] = []


class _Connz(msgspec.Struct):
    data: _Data = msgspec.field(default_factory=_Data)


_event = msgspec.json.Decoder(_Event)
_connz = msgspec.json.Decoder(_Connz)


def read_event(data: bytes) -> tuple[str, int, bool] | None:
    """(key, connection, whether it is there now) of a `$SYS.ACCOUNT.*.CONNECT` or `.DISCONNECT`; None for others."""
    try:
        event = _event.decode(data)
    except msgspec.DecodeError:
        return None
    return event.client.user, event.client.id, event.type.endswith("client_connect")


def read_connz(data: bytes) -> list[Look]:
    """The connections in an answer to `CONNZ` with `auth`."""
    try:
        answer = _connz.decode(data)
    except msgspec.DecodeError:
        return []
    return [Look(one.authorized_user, one.cid, one.in_msgs) for one in answer.data.connections]


class Connections:
    """Open connections of the devices' account."""

    def __init__(self) -> None:
        self._open: dict[str, set[int]] = {}
        self._first: dict[str, dict[int, int]] = {}

    def reset(self, looks: Iterable[Look]) -> None:
        """Replace everything by what the broker says."""
        self._open = {}
        for look in looks:
            self.note(look.user, look.cid, is_open=True)
        self._first = {user: first for user, first in self._first.items() if user in self._open}

    def note(self, user: str, cid: int, is_open: bool) -> None:
        """A connection came or went."""
        if is_open:
            self._open.setdefault(user, set()).add(cid)
            return
        left = self._open.get(user, set())
        left.discard(cid)
        if not left:
            self._open.pop(user, None)
        if len(left) < 2:
            self._first.pop(user, None)

    def of(self, user: str) -> list[int]:
        """The connections of a key, the oldest first."""
        return sorted(self._open.get(user, ()))

    def doubled(self) -> list[str]:
        """Keys with more than one connection."""
        return [user for user, cids in self._open.items() if len(cids) > 1]

    def look(self, user: str, looks: Iterable[Look]) -> bool:
        """Compare with the first look at a doubled key: whether two connections have published since."""
        now = {look.cid: look.sent for look in looks}
        for cid in self.of(user):
            if cid not in now:
                self.note(user, cid, is_open=False)
        first = self._first.setdefault(user, {})
        for cid, sent in now.items():
            first.setdefault(cid, sent)
        at_work = [cid for cid, sent in now.items() if sent > first[cid]]
        if len(at_work) < 2:
            return False
        self._first[user] = now
        return True
