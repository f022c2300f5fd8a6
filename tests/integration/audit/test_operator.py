"""A deployment's log by the command line: devices that come in, looks of the operator, checks of it."""

from collections.abc import Iterator
import json
from pathlib import Path
import sqlite3

import httpx
import pytest

from edge.enrolment import EnrolmentClient, read_claim
from edge.identity import DeviceKey
from sync_protocol.enrolment import read_code
from tests.support.deployment import OWNER, PASSWORD, Deployment


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Deployment]:
    made = Deployment(tmp_path_factory.mktemp("site") / "d", "acme", "other")
    made.process.start()
    yield made
    made.process.kill()


def entries(site: Deployment, tenant: str, folder: Path) -> list[dict[str, object]]:
    """The log of a tenant, by the command line."""
    path = folder / f"{tenant}-{len(list(folder.iterdir()))}.ndjson"
    done = site.process.command("audit", "export", "--tenant", tenant, str(path))
    assert done.exit_code == 0, done.output
    return [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]


def test_devices_that_come_in(site: Deployment, tmp_path: Path) -> None:
    claim = read_claim(site.claims("acme")[0]["payload"], None)
    client = EnrolmentClient(claim.url, None, None)
    assert claim.authority_sha256 is not None
    client.trust(claim.authority_sha256)
    key = DeviceKey.make()
    client.enrol(key, read_code(claim.code), "van-1")
    client.renew(key)
    found = entries(site, "acme", tmp_path)
    for operation, kinds in {
        "make_claims": {"claim_code"},
        "enrol": {"device", "vehicle", "assignment", "device_key", "claim_code"},
        "renew": {"device_key"},
    }.items():
        assert {one["object_kind"] for one in found if one["operation"] == operation} == kinds, operation
    assert {one["actor_kind"] for one in found if one["operation"] == "make_claims"} == {"operator"}
    assert claim.code not in json.dumps(found)


def test_the_operator_looks_at_nothing_unseen(site: Deployment, tmp_path: Path) -> None:
    for command in (("verify",), ("quarantine", "list"), ("user", "list"), ("audit", "verify")):
        assert site.process.command(*command).exit_code == 0, command
    for tenant in ("acme", "other"):
        looks = [one for one in entries(site, tenant, tmp_path) if one["change"] == "read"]
        assert [(one["actor_kind"], one["object_kind"]) for one in looks[-5:]] == [
            ("operator", kind) for kind in ("ledger", "quarantine", "members", "audit", "audit")
        ]
        assert all(str(one["agent"]).startswith("milepost-cloud") for one in looks[-5:])
    assert site.process.command("audit", "verify", "--tenant", "nobody").exit_code != 0


def test_a_suspended_company_is_shut_out_and_sees_that_it_was(site: Deployment, tmp_path: Path) -> None:
    with site.client("acme") as http, site.client("other") as others:
        made = http.post("/api/v1/api-keys", json={"name": "report", "actions": ["fleet.read"]}).json()["token"]
        with_key = {"Authorization": f"Bearer {made}"}
        assert site.process.command("tenant", "suspend", "acme").exit_code == 0
        assert "acme  suspended" in site.process.command("tenant", "list").output
        assert http.get("/api/v1/me").status_code == 401
        assert http.get("/api/v1/vehicles", headers=with_key).status_code == 401
        assert others.get("/api/v1/vehicles").status_code == 200
        form = {"username": OWNER, "password": PASSWORD}
        refused = http.post("/api/v1/auth/token", data=form)
        assert (refused.status_code, "suspended" in refused.json()["detail"]) == (403, True)
        assert site.process.command("tenant", "resume", "acme").exit_code == 0
        assert http.get("/api/v1/vehicles", headers=with_key).status_code == 200
        assert http.get("/api/v1/me").status_code == 401, "that session is over"
    with site.client("acme") as http:
        assert http.get("/api/v1/me").status_code == 200
    switched = [one for one in entries(site, "acme", tmp_path) if one["operation"] == "switch_tenant"]
    assert [one["object_kind"] for one in switched if one["object_kind"] == "tenant"] == ["tenant"] * 2
    assert "session" in {one["object_kind"] for one in switched}
    assert site.process.command("tenant", "suspend", "nobody").exit_code != 0


def test_a_person_is_given_what_is_kept_and_erased_from_it(site: Deployment, tmp_path: Path) -> None:
    email = "gone@acme.example"
    added = site.process.command("user", "add", email, "--tenant", "acme", "--password", typed=f"{PASSWORD}\n" * 2)
    assert added.exit_code == 0, added.output
    with httpx.Client(base_url=site.process.url, verify=site.tls(), timeout=20) as http:
        opened = http.post("/api/v1/auth/token", data={"username": email, "password": PASSWORD}).json()
        http.headers["Authorization"] = f"Bearer {opened['access_token']}"
        own = http.get("/api/v1/me/data")
        path = tmp_path / "person.json"
        assert site.process.command("user", "export", email, str(path)).exit_code == 0
        assert json.loads(path.read_text(encoding="utf-8")) == own.json()
        assert (own.json()["email"], len(own.json()["log_ins"])) == (email, 1)
        assert site.process.command("user", "erase", email, typed="n\n").exit_code != 0
        assert http.get("/api/v1/me").status_code == 200
        erased = site.process.command("user", "erase", email, typed="y\n")
        assert erased.exit_code == 0, erased.output
        assert http.get("/api/v1/me").status_code == 401
        again = http.post("/api/v1/auth/token", data={"username": email, "password": PASSWORD})
        assert again.status_code == 401
    assert site.process.command("user", "export", email, str(tmp_path / "other")).exit_code != 0
    number = str(own.json()["id"])
    found = entries(site, "acme", tmp_path)
    looks = [(one["actor_kind"], one["operation"]) for one in found if one["object_kind"] == "personal_data"]
    assert looks == [("user", "get_my_data"), ("operator", "export_person")]
    gone = [(one["change"], one["object_kind"]) for one in found if one["operation"] == "erase_person"]
    assert sorted(gone) == [
        ("changed", "session"), ("changed", "user"), ("removed", "member"), ("removed", "session"),
    ]  # fmt: skip
    assert [one["object_id"] for one in found if one["operation"] == "erase_person"].count(number) == 2
    assert email not in json.dumps(found)


def test_files_are_checked_without_a_service(site: Deployment, tmp_path: Path) -> None:
    path = tmp_path / "acme.ndjson"
    assert site.process.command("audit", "export", "--tenant", "acme", str(path)).exit_code == 0
    assert site.process.command("audit", "export", "--tenant", "acme", str(path)).exit_code != 0, "never overwrites"
    whole = site.process.command("audit", "verify", "--file", str(path))
    assert (whole.exit_code, "whole" in whole.output) == (0, True), whole.output
    lines = path.read_text(encoding="utf-8").splitlines(keepends=True)
    path.write_text("".join([*lines[:2], *lines[3:]]), encoding="utf-8")
    broken = site.process.command("audit", "verify", "--file", str(path))
    assert (broken.exit_code, "entry 3 is missing" in broken.output) == (1, True), broken.output


def test_damage_is_told_with_and_without_the_service(site: Deployment) -> None:
    assert site.process.command("audit", "verify").exit_code == 0
    with sqlite3.connect(site.folder / "fleet.db") as database:
        database.execute("DROP TRIGGER audit_entries_no_update")
        database.execute("UPDATE audit_entries SET actor_kind = 'key' WHERE tenant_id = 1 AND number = 2")
    database.close()

    def told() -> None:
        done = site.process.command("audit", "verify", "--json")
        assert done.exit_code == 1, done.output
        acme, other = (one["verification"] for one in json.loads(done.stdout))
        assert (acme["is_whole"], acme["fault"]["number"], other["is_whole"]) == (False, 2, True)

    told()
    assert site.process.stop() == 0
    told()
