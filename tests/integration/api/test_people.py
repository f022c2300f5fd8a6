"""A deployment with people: from the command line over the first log-in to a session that ends, over HTTPS."""

from collections.abc import Iterator
import json
from pathlib import Path
import re
import ssl

import httpx
import pytest

from tests.support.cloud_process import PROMPT, CloudProcess

PASSWORD = "gravel-orbit-lantern"
EMAIL = "mara@fleet.example"


@pytest.fixture(scope="module")
def deployment(tmp_path_factory: pytest.TempPathFactory) -> Iterator[CloudProcess]:
    process = CloudProcess(tmp_path_factory.mktemp("people") / "d", **PROMPT, MILEPOST__DEMO="false")
    assert process.command("init").exit_code == 0
    assert process.command("tenant", "add", "north").exit_code == 0
    try:
        process.start()
        yield process
    finally:
        process.kill()


@pytest.fixture
def http(deployment: CloudProcess) -> Iterator[httpx.Client]:
    trusted = ssl.create_default_context(cafile=deployment.data_dir / "identity" / "ca.pem")
    url = deployment.url.replace("127.0.0.1", "localhost")
    with httpx.Client(base_url=f"{url}/api/v1", verify=trusted, timeout=20) as client:
        yield client


def invited(deployment: CloudProcess, email: str, role: str = "owner") -> str:
    """The token of an invitation that the command line has made."""
    made = deployment.command("user", "add", email, "--tenant", "north", "--role", role, "--json")
    assert made.exit_code == 0, made.output
    found = re.fullmatch(r"https://localhost:\d+/invitation#(\S+)", json.loads(made.stdout)["link"])
    assert found is not None
    return found[1]


def test_nothing_is_open_before_anybody_is_invited(http: httpx.Client) -> None:
    assert http.get("/auth/ways").json() == {"is_demo": False, "has_mail": False}
    assert http.post("/auth/demo").status_code == 404
    assert http.get("/vehicles").status_code == 401
    guessed = http.post("/auth/token", data={"username": "admin", "password": "admin"})
    assert guessed.status_code == 401
    assert guessed.headers["content-type"] == "application/problem+json"


def test_no_other_site_may_read_an_answer(http: httpx.Client) -> None:
    asked = http.options("/vehicles", headers={"Origin": "https://evil.example"})
    assert asked.status_code == 204
    for answer in (asked, http.get("/auth/ways", headers={"Origin": "https://evil.example"})):
        assert not [name for name in answer.headers if name.startswith("access-control")]


def test_from_the_invitation_to_the_end_of_the_session(deployment: CloudProcess, http: httpx.Client) -> None:
    token = invited(deployment, EMAIL)
    told = http.post("/auth/invitations/look", json={"token": token}).json()
    assert told == {"tenant": "north", "email": EMAIL, "role": "owner", "is_known": False}
    accepted = http.post("/auth/invitations/accept", json={"token": token, "name": "Mara Lind", "password": PASSWORD})
    assert accepted.status_code == 200, accepted.text
    assert accepted.headers["cache-control"] == "no-store"
    cookie = accepted.headers["set-cookie"]
    assert all(word in cookie for word in ("HttpOnly", "SameSite=strict", "Secure", "Path=/api/v1/auth"))

    http.cookies.clear()
    opened = http.post("/auth/token", data={"grant_type": "password", "username": EMAIL, "password": PASSWORD})
    assert opened.json()["token_type"] == "Bearer"
    assert opened.json()["expires_in"] == 600
    first = {"Authorization": f"Bearer {opened.json()['access_token']}"}
    me = http.get("/me", headers=first).json()
    assert (me["email"], me["name"], me["tenant"], me["role"], me["is_demo"]) == (
        EMAIL, "Mara Lind", "north", "owner", False
    )  # fmt: skip
    assert http.get("/vehicles", headers=first).json() == {"items": [], "next_cursor": None}

    second = {"Authorization": f"Bearer {http.post('/auth/refresh').json()['access_token']}"}
    sessions = http.get("/auth/sessions", headers=second).json()["items"]
    assert [session["is_current"] for session in sessions] == [True, False]
    assert http.post("/auth/log-out").status_code == 204
    assert "milepost_refresh" not in http.cookies
    for ended in (first, second):
        assert http.get("/me", headers=ended).status_code == 401
    assert http.post("/auth/refresh").status_code == 401


def test_shut_out_from_the_command_line_at_once(deployment: CloudProcess, http: httpx.Client) -> None:
    token = invited(deployment, "eve@fleet.example", "manager")
    accepted = http.post("/auth/invitations/accept", json={"token": token, "name": "Eve", "password": PASSWORD})
    headers = {"Authorization": f"Bearer {accepted.json()['access_token']}"}
    assert http.get("/me", headers=headers).status_code == 200
    assert deployment.command("user", "disable", "eve@fleet.example").exit_code == 0
    assert http.get("/me", headers=headers).status_code == 401
    assert (
        "eve@fleet.example                    manager     north  disabled" in deployment.command("user", "list").output
    )
    deployment.command("user", "enable", "eve@fleet.example")
    form = {"username": "eve@fleet.example", "password": PASSWORD}
    assert http.post("/auth/token", data=form).status_code == 200


def test_guessing_is_slowed_down_with_a_word_of_when(deployment: CloudProcess, http: httpx.Client) -> None:
    answers = [http.post("/auth/token", data={"username": "x@y.z", "password": "guess"}) for _ in range(6)]
    assert [answer.status_code for answer in answers] == [401] * 5 + [429]
    assert int(answers[-1].headers["retry-after"]) >= 1
    body = answers[-1].json()
    assert (body["type"], body["title"]) == ("/problems/too-many-requests", "Too Many Requests")


def test_no_log_says_who_it_is(deployment: CloudProcess) -> None:
    log = deployment.log()
    assert "session_opened" in log
    assert not re.search(r"fleet\.example|Mara|gravel|milepost_refresh", log)


def test_users_without_a_service(tmp_path: Path) -> None:
    process = CloudProcess(tmp_path / "d")
    assert process.command("tenant", "add", "north").exit_code == 0
    again = process.command("tenant", "add", "north")
    assert (again.exit_code, "there is a tenant 'north' already" in again.stderr) == (69, True)
    assert process.command("tenant", "add", "No.rth").exit_code == 65
    lost = process.command("user", "add", EMAIL, "--tenant", "nowhere")
    assert "milepost-cloud tenant add nowhere" in lost.stderr
    weak = process.command("user", "add", EMAIL, "--tenant", "north", "--password", typed="short\nshort\n")
    assert (weak.exit_code, "12 to 200 characters" in weak.stderr) == (65, True)
    typed = f"{PASSWORD}\n{PASSWORD}\n"
    assert process.command("user", "add", EMAIL, "--tenant", "north", "--password", typed=typed).exit_code == 0
    listed = json.loads(process.command("user", "list", "--json").stdout)
    assert [(one["email"], one["tenant"], one["role"]) for one in listed if one["email"] == EMAIL] == [
        (EMAIL, "north", "owner")
    ]
    names = [one["name"] for one in json.loads(process.command("tenant", "list", "--json").stdout)]
    assert "north" in names
