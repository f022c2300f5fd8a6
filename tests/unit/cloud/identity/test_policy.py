"""The table: what each role includes, and that nobody hands out more than the own."""

import asyncio

import pytest

from cloud.identity.policy import SCOPES, TABLE, Action, Principal, Role, may, may_give


def principal(role: Role) -> Principal:
    return Principal("user", 1, 1, "north", TABLE[role], role, ended=asyncio.Event())


def test_the_table_has_every_role_and_every_action_has_somebody() -> None:
    assert TABLE.keys() == set(Role)
    assert frozenset().union(*TABLE.values()) == set(Action) - {Action.PUBLIC}


@pytest.mark.parametrize("role", Role)
def test_everybody_may_see_to_themselves_and_log_in(role: Role) -> None:
    assert may(principal(role), Action.SELF)
    assert may(principal(role), Action.PUBLIC)


def test_who_changes_what() -> None:
    def allowed(action: Action) -> set[Role]:
        return {role for role in Role if may(principal(role), action)}

    boss = {Role.OWNER, Role.MANAGER}
    assert allowed(Action.MANAGE_KEYS) == {Role.OWNER}
    assert allowed(Action.MANAGE_MEMBERS) == allowed(Action.MANAGE_DEVICES) == boss
    assert allowed(Action.CHANGE_VEHICLE) == boss | {Role.TECHNICIAN}
    assert allowed(Action.WATCH_VEHICLE) == boss | {Role.TECHNICIAN, Role.DISPATCHER}
    assert allowed(Action.READ_FLEET) == set(Role) - {Role.DRIVER}


def test_an_auditor_changes_nothing() -> None:
    assert all(action.value.endswith(".read") or action is Action.SELF for action in TABLE[Role.AUDITOR])


def test_nobody_gives_more_than_the_own() -> None:
    assert may_give(TABLE[Role.OWNER], Role.OWNER)
    assert may_give(TABLE[Role.MANAGER], Role.TECHNICIAN)
    assert not may_give(TABLE[Role.MANAGER], Role.OWNER)
    assert not may_give(TABLE[Role.DISPATCHER], Role.AUDITOR)


def test_a_key_has_no_self_and_makes_nobody() -> None:
    assert not SCOPES & {Action.SELF, Action.PUBLIC, Action.MANAGE_KEYS, Action.MANAGE_MEMBERS}
