"""Every operation of the API that changes something leaves an entry, as whoever called. A new one fails here until it
is done in `the_walk`, or stands in `NO_CHANGE` with a reason.
"""

from base64 import b32decode
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
import json
import time
from typing import Any

import httpx
from litestar.handlers import HTTPRouteHandler
import msgspec
import pytest

from cloud.app import V1_ROUTES
from cloud.audit.chain import Entry, walk_lines
from cloud.audit.reading import every
from cloud.config import MailConfig
from cloud.enrolment.tables import DeviceKey
from cloud.identity import totp
from cloud.identity.invitations import hash_of
from cloud.identity.policy import Role
from cloud.identity.tables import PasswordReset
from tests.support.cloud_process import eventually
from tests.support.two_tenants import OURS, TENANTS, THEIRS, TwoTenants, user_of

PREFIX = "/api/v1"
EMAIL, PASSWORD, OTHER_PASSWORD = "walker@ours.example", "gravel-orbit-lantern", "copper-meadow-signal"
NO_CHANGE = {
    "watch_vehicle": "a lease of a minute in memory, renewed by every open page",
    "refresh": "the same session goes on; its end leaves an entry",
    "look_at_invitation": "reads what its holder was sent",
    "make_challenge": "a number to sign, kept nowhere",
}
ELSEWHERE = {"enrol", "renew"}
"""A demo enrols nobody: see test_devices_that_come_in of test_operator.py."""
MUTATING = {
    handler.handler_name: (next(iter(handler.http_methods)), next(iter(handler.paths)))
    for handler in V1_ROUTES
    if isinstance(handler, HTTPRouteHandler) and not handler.http_methods <= {"GET", "HEAD", "OPTIONS"}
}


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> Iterator[TwoTenants]:
    made = TwoTenants(tmp_path_factory.mktemp("audit") / "d")
    # A mail server that nobody reaches: links are made all the same.
    made.config = msgspec.structs.replace(made.config, mail=MailConfig(host="127.0.0.1", port=9, tls="none"))
    try:
        made.start()
        yield made
    finally:
        made.stop()


class Walker:
    """Calls operations by name and sees what each of them leaves in the log of `OURS`."""

    def __init__(self, world: TwoTenants) -> None:
        self.world = world
        self.done: dict[str, list[Entry]] = {}

    def call(
        self, name: str, http: httpx.Client, body: Any = None, *, form: Any = None, **parameters: object
    ) -> httpx.Response:
        """Do it; it must succeed, and leave entries of its own."""
        method, path = MUTATING[name]
        for typed in (":int", ":str"):
            path = path.replace(typed, "")
        last = self.entries()[-1].number
        answer = http.request(method, PREFIX + path.format(**parameters), json=body, data=form)
        assert answer.is_success, (name, answer.text)
        eventually(lambda: any(self._since(last, name)), f"{name} leaves an entry", 10)
        self.done[name] = list(self._since(last, name))
        return answer

    def entries(self) -> list[Entry]:
        """The log of `OURS`, read without leaving a trace."""
        return self.world.cloud.db.run_sync(lambda session: list(every(session, TENANTS[OURS])))

    def new_user(self) -> int:
        """Who has come in by the invitation."""
        return next(int(one.object_id) for one in self.done["accept_invitation"] if one.object_kind == "user")

    def _since(self, number: int, name: str) -> Iterator[Entry]:
        return (one for one in self.entries() if one.number > number and one.operation == name)


@pytest.fixture(scope="module")
def walked(world: TwoTenants) -> Walker:
    walker = Walker(world)
    with world.client(OURS, Role.OWNER) as http:
        fleet(world, walker, http)
        people(world, walker, http)
        devices(world, walker, http)
    return walker


def fleet(world: TwoTenants, walker: Walker, http: httpx.Client) -> None:
    ours = world.objects[OURS]
    walker.call("change_vehicle", http, {"plate": "AB-12"}, **ours)
    now = datetime.now(UTC)
    asked = {"from": (now - timedelta(hours=1)).isoformat(), "to": now.isoformat()}
    walker.call("pull_history", http, asked, **ours)
    walker.call("cancel_pull", http, **ours)
    walker.call("make_api_key", http, {"name": "report", "actions": ["fleet.read"]})
    walker.call("end_api_key", http, **ours)


def people(world: TwoTenants, walker: Walker, http: httpx.Client) -> None:
    ours = world.objects[OURS]
    made = walker.call("invite", http, {"email": EMAIL, "role": "driver"}).json()
    walker.call("withdraw_invitation", http, **ours)
    with httpx.Client(base_url=world.cloud.url, timeout=20) as walker_http:
        acceptance = {"token": made["link"].partition("#")[2], "name": "Walker", "password": PASSWORD}
        walker.call("accept_invitation", walker_http, acceptance)
        opened = walker.call("log_in", walker_http, form={"username": EMAIL, "password": PASSWORD}).json()
        walker_http.headers["Authorization"] = f"Bearer {opened['access_token']}"
        change = {"current_password": PASSWORD, "new_password": OTHER_PASSWORD}
        walker.call("change_password", walker_http, change)
        secret = walker.call("begin_second_factor", walker_http).json()["secret"]
        key = b32decode(secret + "=" * (-len(secret) % 8))
        here = int(time.time() // totp.STEP_S)
        walker.call("confirm_second_factor", walker_http, {"code": totp.code(key, here)})
        walker.call("remove_second_factor", walker_http, {"code": totp.code(key, here + 1)})
        walker.call("log_out", walker_http)
    with httpx.Client(base_url=world.cloud.url, timeout=20) as nobody:
        walker.call("log_in_demo", nobody)
        walker.call("ask_for_reset", nobody, {"email": EMAIL})
        token, now = "t" * 43, datetime.now(UTC)
        reset = PasswordReset(
            user_id=walker.new_user(), token_hash=hash_of(token), created=now, expires=now + timedelta(hours=1)
        )
        world.cloud.db.write_sync(lambda session: session.add(reset))
        walker.call("use_reset", nobody, {"token": token, "password": PASSWORD})
    walker.call("end_session", http, **ours)
    walker.call("change_member", http, {"role": "technician"}, **ours)
    walker.call("remove_member", http, **ours)


def devices(world: TwoTenants, walker: Walker, http: httpx.Client) -> None:
    ours = world.objects[OURS]
    walker.call("make_claims", http, {"days": 1})
    walker.call("cancel_claim", http, **ours)
    walker.call("move_device", http, {"vehicle_id": None}, **ours)
    now = datetime.now(UTC)
    key = DeviceKey(tenant_id=1, device_id=1, public_key="U" * 56, enrolled=now, issued=now, expires=now)
    world.cloud.db.write_sync(lambda session: session.add(key))
    walker.call("revoke_device", http, **ours)
    walker.call("remove_device", http, **ours)


def test_every_change_leaves_an_entry(walked: Walker) -> None:
    decided = [*walked.done, *NO_CHANGE, *ELSEWHERE]
    assert len(set(decided)) == len(decided)
    assert set(decided) == MUTATING.keys(), "do it in the walk, or say in NO_CHANGE why it changes nothing"


def test_who_did_it(walked: Walker) -> None:
    owner = user_of(OURS, Role.OWNER)
    (renamed,) = walked.done["change_vehicle"]
    assert (renamed.actor_kind, renamed.actor_number, renamed.address) == ("user", owner, "127.0.0.1")
    assert renamed.agent.startswith("python-httpx")
    assert json.loads(bytes(renamed.before)) == {"plate": "ours"}
    assert json.loads(bytes(renamed.after)) == {"plate": "AB-12"}
    for entry in walked.done["log_in"]:
        assert (entry.actor_kind, entry.actor_number) == ("nobody", None)
    (added,) = (one for one in walked.done["log_in"] if one.change == "added")
    assert json.loads(bytes(added.after))["user_id"] == walked.new_user()
    # What one request changes has one mark.
    removed = walked.done["remove_device"]
    assert len({one.request_id for one in removed}) == 1
    assert removed[0].request_id != renamed.request_id


def test_nothing_secret_and_nobody_by_name(walked: Walker) -> None:
    text = "".join(msgspec.json.encode(entry).decode() for entry in walked.entries())
    for secret in (PASSWORD, OTHER_PASSWORD, EMAIL, "Walker", "argon2", "t" * 43, hash_of("t" * 43)):
        assert secret not in text, secret


def test_a_refused_call_leaves_nothing(world: TwoTenants, walked: Walker) -> None:
    before = walked.entries()[-1].number
    with world.client(OURS, Role.DRIVER) as http:
        assert http.patch(f"{PREFIX}/vehicles/1", json={"plate": "x"}).status_code == 403
        assert http.get(f"{PREFIX}/audit").status_code == 403
    with world.client(OURS, Role.OWNER) as http:
        assert http.patch(f"{PREFIX}/vehicles/2", json={"plate": "x"}).status_code == 404
    # Logging in for this leaves its own.
    assert [one.operation for one in walked.entries() if one.number > before and one.actor_kind != "service"] == []


def test_a_look_at_people_and_at_the_log_leaves_an_entry(world: TwoTenants, walked: Walker) -> None:
    with world.client(OURS, Role.MANAGER) as http:
        http.get(f"{PREFIX}/members")
        http.get(f"{PREFIX}/audit/verification")
        found = http.get(f"{PREFIX}/audit", params={"actor": f"user:{user_of(OURS, Role.MANAGER)}"}).json()["items"]
    looks = [(one["operation"], one["change"], one["object_kind"]) for one in found[:3]]
    assert looks == [
        ("search_audit", "read", "audit"),
        ("verify_audit", "read", "audit"),
        ("list_members", "read", "members"),
    ]
    assert found[0]["actor"] == {"kind": "user", "number": user_of(OURS, Role.MANAGER), "name": "manager ours"}


def test_searching_page_by_page(world: TwoTenants, walked: Walker) -> None:
    with world.client(OURS, Role.AUDITOR) as http:

        def found(**query: object) -> list[dict[str, Any]]:
            items: list[dict[str, Any]] = []
            cursor: dict[str, str] = {}
            while True:
                page = http.get(f"{PREFIX}/audit", params={**query, **cursor}).json()
                items += page["items"]
                if page["next_cursor"] is None:
                    return items
                cursor = {"cursor": page["next_cursor"]}

        all_at_once = found(operation="remove_device", limit=1000)
        assert [one["number"] for one in found(operation="remove_device", limit=1)] == [
            one["number"] for one in all_at_once
        ]
        device = found(object="device:van-ours")
        assert {one["object_id"] for one in device} == {"van-ours"}
        assert device[0]["after"]["removed"] is not None
        assert found(to="2026-01-01T00:00:00Z") == []
        for wrong in ({"actor": "user:x"}, {"from": "yesterday"}, {"cursor": "x"}, {"limit": 0}):
            assert http.get(f"{PREFIX}/audit", params=wrong).status_code == 400, wrong


def test_the_export_is_whole_and_of_one_tenant(world: TwoTenants, walked: Walker) -> None:
    for tenant in (OURS, THEIRS):
        with world.client(tenant, Role.OWNER) as http:
            exported = http.get(f"{PREFIX}/audit/export")
            told = http.get(f"{PREFIX}/audit/verification").json()
        assert exported.headers["content-type"].startswith("application/x-ndjson")
        walk = walk_lines(line + b"\n" for line in exported.content.splitlines())
        assert (walk.tenant_id, walk.fault) == (TENANTS[tenant], None)
        assert (told["is_whole"], told["entries"]) == (True, walk.entries + 1)
