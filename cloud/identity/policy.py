"""Who may do what: one table, one check. REST, WebSocket, exports and every later surface ask `may`.

A route names its action (`@get("/vehicles", action=Action.READ_FLEET)`); the application does not start with one that
names none. A principal speaks for one tenant and never learns whether another one has what it asked for.
"""

import asyncio
from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Literal


class Action(StrEnum):
    """What a caller wants to do. `PUBLIC` needs no log-in at all, `SELF` any person that has logged in."""

    PUBLIC = "public"
    SELF = "self"
    READ_CATALOGUE = "catalogue.read"
    READ_FLEET = "fleet.read"
    READ_HISTORY = "history.read"
    WATCH_VEHICLE = "vehicles.watch"
    PULL_HISTORY = "history.pull"
    CHANGE_VEHICLE = "vehicles.change"
    READ_DEVICES = "devices.read"
    MANAGE_DEVICES = "devices.manage"
    READ_MEMBERS = "members.read"
    MANAGE_MEMBERS = "members.manage"
    MANAGE_KEYS = "keys.manage"
    READ_AUDIT = "audit.read"


class Role(StrEnum):
    """What a person is in a tenant."""

    OWNER = "owner"
    MANAGER = "manager"
    DISPATCHER = "dispatcher"
    TECHNICIAN = "technician"
    DRIVER = "driver"
    AUDITOR = "auditor"


_EVERYBODY = frozenset({Action.SELF, Action.READ_CATALOGUE})
_LOOKS = _EVERYBODY | {Action.READ_FLEET, Action.READ_HISTORY, Action.READ_DEVICES}
_MANAGES = _LOOKS | {
    Action.WATCH_VEHICLE,
    Action.PULL_HISTORY,
    Action.CHANGE_VEHICLE,
    Action.MANAGE_DEVICES,
    Action.READ_MEMBERS,
    Action.MANAGE_MEMBERS,
    Action.READ_AUDIT,
}

TABLE: Mapping[Role, frozenset[Action]] = {
    Role.OWNER: _MANAGES | {Action.MANAGE_KEYS},
    Role.MANAGER: _MANAGES,
    Role.DISPATCHER: _LOOKS | {Action.WATCH_VEHICLE},
    Role.TECHNICIAN: _LOOKS | {Action.WATCH_VEHICLE, Action.PULL_HISTORY, Action.CHANGE_VEHICLE},
    # A driver sees own data only, and nothing says yet which data that is.
    Role.DRIVER: _EVERYBODY,
    Role.AUDITOR: _LOOKS | {Action.READ_MEMBERS, Action.READ_AUDIT},
}

SCOPES = frozenset().union(*TABLE.values()) - {Action.SELF, Action.MANAGE_MEMBERS, Action.MANAGE_KEYS}
"""What an API key may be given: a machine has no self, and makes neither members nor other keys."""


@dataclass(frozen=True, eq=False)
class Principal:
    """Who calls. `number` is the user's id or the API key's; `ended` is set once the session or the key has ended."""

    kind: Literal["user", "key"]
    number: int
    tenant_id: int
    tenant: str
    actions: frozenset[Action]
    role: Role | None = None
    session_id: str = ""
    is_demo: bool = False
    ended: asyncio.Event = field(default_factory=asyncio.Event)


def may(principal: Principal, action: Action) -> bool:
    """Whether a caller may do this in its own tenant."""
    return action is Action.PUBLIC or action in principal.actions


def may_give(actions: frozenset[Action], role: Role) -> bool:
    """Whether somebody who may do `actions` may give or take a role: nobody hands out more than the own."""
    return actions >= TABLE[role]
