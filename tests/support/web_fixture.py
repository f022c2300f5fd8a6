"""A small server that speaks the HTTP API of the cloud for the web app's own tests and for work on its pages.

`python -m tests.support.web_fixture --port 8080` serves the made-up fleet of web_fleet.py and the built app. What it
answers is made up, but of the shapes that the real API has; the real one is tested against the app elsewhere.
"""

import argparse
import asyncio
from collections.abc import Awaitable, Callable, Coroutine
from datetime import datetime
import json
import mimetypes
from pathlib import Path
import re
import time
from typing import Any
from urllib.parse import parse_qs, unquote

import uvicorn

from cloud.identity.policy import TABLE, Role
from sync_protocol.signals import catalogue
from tests.support.web_fleet import Fleet, iso

DIST = Path(__file__).parents[2] / "cloud" / "web" / "dist"
NOT_FOUND = 404
NOT_LOGGED_IN = 401, {"type": "about:blank", "title": "Unauthorized", "status": 401, "detail": "Log in."}
DEMO = {
    "id": 1,
    "email": "demo@milepost.invalid",
    "name": "Demo",
    "tenant": "demo",
    "role": "owner",
    "actions": sorted(TABLE[Role.OWNER]),
    "is_demo": True,
    "has_second_factor": False,
    "session_id": "00" * 16,
}
PERSON = {
    "email": "mara@fleet.example",
    "name": "Mara Lind",
    "tenant": "north",
    "role": "manager",
    "actions": sorted(TABLE[Role.MANAGER]),
    "is_demo": False,
}
INVITED = {"tenant": "north", "email": "mara@fleet.example", "role": "manager", "is_known": False}
AGENT = "Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/140.0 Safari/537.36"
SESSIONS = [
    {
        "id": f"{number:02x}" * 16,
        "tenant": "north",
        "created": "2026-11-20T08:00:00Z",
        "last_used": "2026-11-24T08:00:00Z",
        "expires": "2026-12-08T08:00:00Z",
        "agent": agent,
        "address": f"192.0.2.{number + 7}",
        "is_current": number == 0,
    }
    for number, agent in enumerate((AGENT, "milepost-report/1.2"))
]
Send = Callable[[dict[str, Any]], Awaitable[None]]
Receive = Callable[[], Coroutine[Any, Any, dict[str, Any]]]
Query = dict[str, str]
Answer = tuple[int, Any]


def signals() -> dict[str, Any]:
    """The catalogue as GET /signals gives it."""
    items = [
        {
            "id": s.id,
            "name": s.name,
            "unit": s.unit,
            "type": s.type,
            "resolution": s.scale,
            "min": s.min,
            "max": s.max,
            "period_s": s.period_s,
            "stale_s": s.stale_s,
            "vss": s.vss,
            "pid": None if s.pid is None else f"{s.pid:02X}",
            "text": s.text,
        }
        for s in catalogue().signals
    ]
    return {"version": catalogue().version, "items": items}


def ledger(vehicle: int, now: float, *, is_whole: bool = False) -> dict[str, Any]:
    """Most devices are whole; 3 lost some, 5 is forked, 7 waits for its network; with `is_whole` all are."""
    last = 4400 + vehicle
    case = 0 if is_whole else vehicle
    pending = [[last - 900, last]] if case == 7 else [[last, last]]
    stored = [[1, pending[0][0] - 1]]
    lost: list[dict[str, Any]] = []
    quarantined: list[list[int]] = []
    if case == 3:
        stored, lost = [[1, 2000], [2004, last - 1]], [{"first": 2001, "last": 2003, "reason": "power"}]
    if case == 5:
        stored, quarantined = [[1, 3099], [3101, last - 1]], [[3100, 3100]]
    forked = [1500, 1501] if case == 5 else []
    first: dict[str, Any] = {
        "stream_id": f"{vehicle:02x}" * 16,
        "is_active": True,
        "first_seen": iso(now - 500_000),
        "last_seen": iso(now - 1),
        "last_seq": last,
        "boots": 31,
        "stored": stored,
        "pending": pending,
        "lost": lost,
        "quarantined": quarantined,
        "forked": forked,
    }
    old: dict[str, Any] = {
        **first,
        "stream_id": f"{vehicle + 99:02x}" * 16,
        "is_active": False,
        "last_seq": 812,
        "boots": 4,
        "stored": [[1, 812]],
        "pending": [],
        "lost": [],
        "quarantined": [],
        "forked": [],
        "first_seen": iso(now - 900_000),
    }
    streams = [first, old] if vehicle % 3 == 0 else [first]
    size = [sum(b - a + 1 for s in streams for a, b in s[kind]) for kind in ("stored", "pending", "quarantined")]
    reasons = [
        "ignition_off",
        "no_network",
        "ignition_off",
        "updating",
        "ignition_off",
        "power",
        "ignition_off",
        "unknown",
    ]
    silences: list[dict[str, str | None]] = [
        {
            "from": iso(now - 70_000 * (i + 1)),
            "to": iso(now - 70_000 * (i + 1) + 31_000 / (1 + i % 3)),
            "reason": reason,
        }
        for i, reason in enumerate(reasons)
    ]
    if case in (7, 8):
        silences.insert(0, {"from": iso(now - 8000), "to": None, "reason": "no_network" if vehicle == 7 else "unknown"})
    totals = {
        "stored": size[0],
        "pending": size[1],
        "lost": sum(x["last"] - x["first"] + 1 for x in lost),
        "quarantined": size[2],
    }
    return {
        "device_id": f"mp-{vehicle:04d}",
        "as_of": iso(now),
        "totals": totals,
        "streams": streams,
        "silences": silences,
    }


def identity(vehicle: int) -> dict[str, Any]:
    """Every device has one key, and 9 has been copied."""
    key = {
        "public_key": f"U{vehicle:02d}" + "ABCDEF7" * 7,
        "enrolled": "2026-11-02T08:00:00Z",
        "issued": "2026-11-20T08:00:00Z",
        "expires": "2026-12-04T08:00:00Z",
        "revoked": None,
        "cloned": "2026-11-23T08:00:00Z" if vehicle == 9 else None,
        "connections": 2 if vehicle == 9 else 1,
    }
    is_cloned = vehicle == 9
    known = {"device_id": f"mp-{vehicle:04d}", "vehicle_id": vehicle, "is_connected": True, "is_cloned": is_cloned}
    return {**known, "keys": [key]}


class Fixture:
    """The ASGI application. `watches` counts the leases that were asked for, by vehicle."""

    def __init__(self, fleet: Fleet, dist: Path = DIST, *, is_whole: bool = False, has_people: bool = False) -> None:
        self.fleet = fleet
        self.dist = dist
        self.is_whole = is_whole
        self.has_people = has_people
        self.is_logged_in = False
        self.watches: dict[int, int] = {}

    async def __call__(self, scope: dict[str, Any], receive: Receive, send: Send) -> None:
        """One HTTP request or one live link."""
        if scope["type"] == "websocket":
            await self._live(receive, send)
        elif scope["type"] == "http":
            query = {key: values[0] for key, values in parse_qs(scope["query_string"].decode()).items()}
            if scope["path"].startswith("/api/v1/"):
                status, body = self._answer(scope["method"], unquote(scope["path"][7:]), query)
                kind = "application/json" if status < 400 else "application/problem+json"
                await _respond(send, status, kind, b"" if body is None else json.dumps(body).encode())
            else:
                await self._file(scope["path"], send)

    async def _file(self, path: str, send: Send) -> None:
        file = (self.dist / path.lstrip("/")).resolve()
        if not file.is_relative_to(self.dist.resolve()) or not file.is_file():
            file = self.dist / "index.html"
        kind = mimetypes.guess_type(file.name)[0] or "application/octet-stream"
        await _respond(send, 200, kind, await asyncio.to_thread(file.read_bytes))

    async def _live(self, receive: Receive, send: Send) -> None:
        await receive()
        await send({"type": "websocket.accept", "subprotocol": "milepost.v1"})
        gone = asyncio.create_task(receive())
        kind = "snapshot"
        try:
            while not gone.done():
                vehicles = [self.fleet.live(v) for v in self.fleet.ids if kind == "snapshot" or self._moves(v)]
                text = json.dumps({"type": kind, "at": iso(time.time()), "vehicles": vehicles})
                await send({"type": "websocket.send", "text": text})
                kind = "changes"
                await asyncio.wait([gone], timeout=1.0)
        finally:
            gone.cancel()

    def _moves(self, vehicle: int) -> bool:
        return self.fleet.status(vehicle) in ("driving", "idling")

    def _answer(self, method: str, path: str, query: Query) -> Answer:
        if path.startswith(("/auth/", "/me")):
            return self._person(method, path)
        if method == "GET" and path == "/fixture/watches":
            return 200, self.watches
        if found := re.fullmatch(r"/vehicles/(\d+)(?:/(\w+))?", path):
            vehicle = int(found[1])
            return self._vehicle(vehicle, found[2], query) if vehicle in self.fleet.ids else _not_found(path)
        if found := re.fullmatch(r"/devices/mp-(\d+)(?:/(ledger|identity))?", path):
            vehicle = int(found[1])
            if vehicle not in self.fleet.ids:
                return _not_found(path)
            devices = {"ledger": self._ledger, "identity": identity, None: self._device}
            return 200, devices[found[2]](vehicle)
        lists: dict[str, Callable[[], Any]] = {
            "/vehicles": lambda: {"items": [self.fleet.summary(v) for v in self.fleet.ids], "next_cursor": None},
            "/devices": lambda: {"items": [self._device(v) for v in self.fleet.ids]},
            "/signals": signals,
            "/summary": self._summary,
        }
        return (200, lists[path]()) if path in lists else _not_found(path)

    def _person(self, method: str, path: str) -> Answer:
        """A demo, or with `has_people` a service where somebody has to log in; the password is not looked at."""
        token = {"access_token": "fixture", "expires_in": 600, "token_type": "Bearer"}
        answers: dict[tuple[str, str], Answer] = {
            ("GET", "/auth/ways"): (200, {"is_demo": not self.has_people, "has_mail": self.has_people}),
            ("POST", "/auth/refresh"): (200, token) if self.is_logged_in else NOT_LOGGED_IN,
            ("POST", "/auth/demo"): NOT_LOGGED_IN if self.has_people else (200, token),
            ("POST", "/auth/token"): (200, token),
            ("POST", "/auth/password-resets"): (204, None),
            ("POST", "/auth/password-resets/use"): (204, None),
            ("POST", "/auth/invitations/look"): (200, INVITED) if self.has_people else _not_found(path),
            ("POST", "/auth/invitations/accept"): (200, token),
            ("POST", "/auth/log-out"): (200, {}),
            ("GET", "/auth/sessions"): (200, {"items": SESSIONS}),
            ("GET", "/me"): (200, {**DEMO, **(PERSON if self.has_people else {})}),
        }
        if (method, path) in (("POST", "/auth/token"), ("POST", "/auth/invitations/accept"), ("POST", "/auth/log-out")):
            self.is_logged_in = path != "/auth/log-out"
        return answers.get((method, path), _not_found(path))

    def _vehicle(self, vehicle: int, part: str | None, query: Query) -> Answer:
        if part == "watch":
            self.watches[vehicle] = self.watches.get(vehicle, 0) + 1
            return 202, {"lease_s": 60}
        now = time.time()
        from_s, to_s = _time(query.get("from"), now - 3600), _time(query.get("to"), now)
        parts: dict[str | None, Callable[[], Any]] = {
            None: lambda: self.fleet.summary(vehicle),
            "state": lambda: {"vehicle_id": vehicle, "values": self.fleet.state(vehicle)},
            "history": lambda: self.fleet.history(
                vehicle, query.get("signals", "speed_kmh").split(","), from_s, to_s, int(query.get("points", "800"))
            ),
            "track": lambda: self.fleet.track(vehicle, from_s, to_s),
            "states": lambda: {"items": self.fleet.states(vehicle, from_s, to_s)},
            "faults": lambda: {"items": self.fleet.faults(vehicle)},
            "events": lambda: {"items": self.fleet.events(vehicle), "next_cursor": None},
        }
        return (200, parts[part]()) if part in parts else _not_found(f"/vehicles/{vehicle}/{part}")

    def _ledger(self, vehicle: int) -> dict[str, Any]:
        return ledger(vehicle, time.time(), is_whole=self.is_whole)

    def _device(self, vehicle: int) -> dict[str, Any]:
        now = time.time()
        book = self._ledger(vehicle)
        seen = self.fleet.last_seen(vehicle, now)
        return {
            "id": f"mp-{vehicle:04d}",
            "vehicle_id": vehicle,
            "vehicle_name": f"Van {vehicle:02d}",
            "agent_version": "0.1.0",
            "last_seen": None if seen is None else iso(seen),
            "totals": book["totals"],
            "is_forked": any(stream["forked"] for stream in book["streams"]),
        }

    def _summary(self) -> dict[str, Any]:
        states = [self.fleet.status(v) for v in self.fleet.ids]
        books = [self._ledger(v)["totals"] for v in self.fleet.ids]
        frames = {kind: sum(book[kind] for book in books) for kind in ("stored", "pending", "lost", "quarantined")}
        kinds = ("driving", "idling", "parked", "silent", "unknown")
        vehicles = {"total": len(states), **{kind: states.count(kind) for kind in kinds}}
        return {"vehicles": vehicles, "frames": frames, "samples": frames["stored"] * 270, "doubled": 0}


def _time(text: str | None, default: float) -> float:
    return default if text is None else datetime.fromisoformat(text).timestamp()


def _not_found(path: str) -> Answer:
    return NOT_FOUND, {
        "type": "about:blank",
        "title": "Not found",
        "status": NOT_FOUND,
        "detail": f"There is no {path}.",
    }


async def _respond(send: Send, status: int, kind: str, body: bytes) -> None:
    headers = [(b"content-type", kind.encode()), (b"content-length", str(len(body)).encode())]
    await send({"type": "http.response.start", "status": status, "headers": headers})
    await send({"type": "http.response.body", "body": body})


def main() -> None:
    """Serve until stopped."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--port", type=int, default=8080)
    parser.add_argument("--vehicles", type=int, default=12)
    parser.add_argument("--whole", action="store_true", help="no device has lost, quarantined or forked anything")
    parser.add_argument("--people", action="store_true", help="no demo: somebody has to log in")
    arguments = parser.parse_args()
    app = Fixture(Fleet(arguments.vehicles), is_whole=arguments.whole, has_people=arguments.people)
    uvicorn.run(
        app, host="127.0.0.1", port=arguments.port, log_level="warning", lifespan="off", timeout_graceful_shutdown=1
    )


if __name__ == "__main__":
    main()
