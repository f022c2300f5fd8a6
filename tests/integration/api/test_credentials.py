"""Invitations and new passwords by a real mail server, codes of an app, keys of machines, and how often one may ask."""

from base64 import b32decode
from collections.abc import Iterator
from email.message import EmailMessage
import json
from pathlib import Path
import re
import time
from typing import NamedTuple

import httpx
import pytest

from cloud.identity import totp
from tests.support.cloud_process import PROMPT, CloudProcess, eventually
from tests.support.smtp_peer import SmtpPeer

PASSWORD, NEW = "gravel-orbit-lantern", "another-orbit-lantern"
OWNER = "mara@fleet.example"
# The mail server that this module plays has no certificate.
pytestmark = pytest.mark.filterwarnings("ignore:Requiring AUTH while not requiring TLS")


class Place(NamedTuple):
    """A service with an owner in it, its mail server, and the owner's client."""

    process: CloudProcess
    smtp: SmtpPeer
    http: httpx.Client


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Place]:
    folder: Path = tmp_path_factory.mktemp("mail")
    secret = folder / "mail-password"
    with SmtpPeer() as smtp:
        secret.write_text(smtp.password + "\n", encoding="utf-8")
        process = CloudProcess(
            folder / "d",
            **PROMPT,
            MILEPOST__DEMO="false",
            MILEPOST__LISTEN__TLS="false",
            MILEPOST__LISTEN__REQUESTS_PER_S="20",
            MILEPOST__LISTEN__REQUESTS_BURST="200",
            MILEPOST__LISTEN__PROXIES='["127.0.0.1"]',
            MILEPOST__MAIL__HOST="127.0.0.1",
            MILEPOST__MAIL__PORT=str(smtp.port),
            MILEPOST__MAIL__TLS="none",
            MILEPOST__MAIL__USER=smtp.user,
            MILEPOST__MAIL__PASSWORD_FILE=str(secret),
        )
        process.command("init")
        process.command("tenant", "add", "north")
        typed = f"{PASSWORD}\n{PASSWORD}\n"
        assert process.command("user", "add", OWNER, "--tenant", "north", "--password", typed=typed).exit_code == 0
        try:
            process.start()
            with httpx.Client(base_url=f"{process.url}/api/v1", timeout=20) as http:
                http.headers["Authorization"] = f"Bearer {log_in(http, OWNER, PASSWORD)}"
                yield Place(process, smtp, http)
        finally:
            process.kill()


def log_in(http: httpx.Client, email: str, password: str, otp: str | None = None) -> str:
    form = {"username": email, "password": password} | ({} if otp is None else {"otp": otp})
    answer = http.post("/auth/token", data=form)
    assert answer.status_code == 200, answer.text
    token: str = answer.json()["access_token"]
    return token


def link_in(message: EmailMessage, page: str) -> str:
    found = re.search(rf"^http\S+/{page}#(\S+)\r?$", message.get_content(), re.MULTILINE)
    assert found is not None, message
    return found[1]


def newcomer(place: Place, email: str, role: str = "dispatcher") -> str:
    """Somebody who has come in by mail. Returns an access token."""
    made = place.http.post("/invitations", json={"email": email, "role": role})
    assert (made.status_code, made.json()["is_sent"]) == (201, True), made.text
    message = place.smtp.messages[-1]
    assert message["To"] == email
    token = link_in(message, "invitation")
    assert made.json()["link"].endswith(f"/invitation#{token}")
    accepted = place.http.post("/auth/invitations/accept", json={"token": token, "name": "New", "password": PASSWORD})
    assert accepted.status_code == 200, accepted.text
    access: str = accepted.json()["access_token"]
    return access


def test_a_forgotten_password_is_mended_by_mail(place: Place) -> None:
    access = newcomer(place, "ada@fleet.example")
    asked = place.http.post("/auth/password-resets", json={"email": "Ada@Fleet.Example"})
    assert (asked.status_code, asked.content) == (204, b"")
    message = eventually(
        lambda: next((m for m in place.smtp.messages if m["Subject"].startswith("A new password")), None), "the mail"
    )
    token = link_in(message, "reset")
    weak = place.http.post("/auth/password-resets/use", json={"token": token, "password": "short"})
    assert weak.status_code == 400
    used = place.http.post("/auth/password-resets/use", json={"token": token, "password": NEW})
    assert used.status_code == 204, used.text
    assert place.http.get("/me", headers={"Authorization": f"Bearer {access}"}).status_code == 401
    again = place.http.post("/auth/password-resets/use", json={"token": token, "password": PASSWORD})
    assert again.status_code == 404
    assert log_in(place.http, "ada@fleet.example", NEW)


def test_who_is_not_there_gets_the_same_answer_and_no_mail(place: Place) -> None:
    before = len(place.smtp.messages)
    asked = place.http.post("/auth/password-resets", json={"email": "nobody@fleet.example"})
    assert (asked.status_code, asked.content) == (204, b"")
    newcomer(place, "later@fleet.example")
    assert len(place.smtp.messages) == before + 1
    answers = [place.http.post("/auth/password-resets", json={"email": "x@y.z"}).status_code for _ in range(4)]
    assert answers == [204, 204, 204, 429]


def test_codes_of_an_app(place: Place) -> None:
    email = "tess@fleet.example"
    headers = {"Authorization": f"Bearer {newcomer(place, email)}"}
    begun = place.http.post("/me/totp", headers=headers)
    assert begun.headers["cache-control"] == "no-store"
    secret = b32decode(begun.json()["secret"])

    def code(steps: int = 0) -> str:
        return totp.code(secret, int(time.time() // 30) + steps)

    confirmed = place.http.post("/me/totp/confirm", headers=headers, json={"code": code(-1)})
    assert confirmed.status_code == 200, confirmed.text
    assert place.http.get("/me", headers=headers).json()["has_second_factor"]
    refused = place.http.post("/auth/token", data={"username": email, "password": PASSWORD})
    assert (refused.status_code, refused.json()["type"]) == (401, "/problems/one-time-code-needed")
    log_in(place.http, email, PASSWORD, code())
    log_in(place.http, email, PASSWORD, confirmed.json()["codes"][0])
    removed = place.http.post("/me/totp/remove", headers=headers, json={"code": confirmed.json()["codes"][1]})
    assert removed.status_code == 204, removed.text
    log_in(place.http, email, PASSWORD)


def test_keys_of_machines(place: Place) -> None:
    made = place.http.post("/api-keys", json={"name": "report", "actions": ["fleet.read"], "days": 1})
    assert made.status_code == 201, made.text
    key, number = made.json()["token"], made.json()["id"]
    headers = {"Authorization": f"Bearer {key}"}
    assert place.http.get("/vehicles", headers=headers).status_code == 200
    for path in ("/devices", "/me", "/api-keys", "/auth/sessions"):
        assert place.http.get(path, headers=headers).status_code == 403, path
    (listed,) = place.http.get("/api-keys").json()["items"]
    assert (listed["name"], listed["actions"], "token" in listed) == ("report", ["fleet.read"], False)
    assert place.http.delete(f"/api-keys/{number}").status_code == 204
    assert place.http.get("/vehicles", headers=headers).status_code == 401
    weak = place.http.post("/api-keys", json={"name": "all", "actions": ["members.manage"]})
    assert weak.status_code == 400


def test_who_asks_too_often_waits_and_nobody_else_does(place: Place) -> None:
    flooder, other = ({"X-Forwarded-For": address} for address in ("203.0.113.5", "203.0.113.6"))
    with httpx.Client(base_url=place.http.base_url) as nobody:
        answers = [nobody.get("/auth/ways", headers=flooder) for _ in range(300)]
        assert nobody.get("/auth/ways", headers=other).status_code == 200
    refused = [answer for answer in answers if answer.status_code == 429]
    assert refused
    assert int(refused[0].headers["retry-after"]) >= 1
    assert place.http.get("/vehicles").status_code == 200


def test_what_the_proxy_says_of_an_address_stands_in_the_sessions(place: Place) -> None:
    form = {"username": OWNER, "password": PASSWORD}
    assert place.http.post("/auth/token", data=form, headers={"X-Forwarded-For": "203.0.113.9"}).status_code == 200
    newest = place.http.get("/auth/sessions").json()["items"][0]
    assert newest["address"] == "203.0.113.9"


def test_secrets_are_in_no_log_and_in_no_database(place: Place) -> None:
    log = place.process.log()
    database = b"".join(path.read_bytes() for path in place.process.data_dir.glob("fleet.db*"))
    for message in place.smtp.messages:
        page = "reset" if "new password" in message["Subject"] else "invitation"
        token = link_in(message, page)
        assert token not in log
        assert token.encode() not in database
    assert place.smtp.password not in log
    assert PASSWORD not in log
    assert json.dumps("mpk_")[1:-1].encode() not in database
