"""Clients of a demo's API that log in by themselves, as its web app does."""

from collections.abc import Generator
import json
from typing import Any
import urllib.request

import httpx
from websockets import Subprotocol

from cloud.http.access import SUBPROTOCOL


class DemoAuth(httpx.Auth):
    """Logs in as the demo user, and again when the token has run out."""

    requires_response_body = True

    def __init__(self) -> None:
        self._token = ""

    def auth_flow(self, request: httpx.Request) -> Generator[httpx.Request, httpx.Response, None]:
        """Send with the token; on 401 with a new one, once."""
        if self._token:
            request.headers["Authorization"] = f"Bearer {self._token}"
            answer = yield request
            if answer.status_code != httpx.codes.UNAUTHORIZED:
                return
        opened = yield httpx.Request("POST", request.url.copy_with(path="/api/v1/auth/demo", query=None))
        self._token = opened.json()["access_token"]
        request.headers["Authorization"] = f"Bearer {self._token}"
        yield request


def api_client(url: str, timeout_s: float = 20.0) -> httpx.Client:
    """A client of the API as the demo user."""
    return httpx.Client(base_url=url, timeout=timeout_s, auth=DemoAuth())


def demo_token(url: str) -> str:
    """An access token of the demo user."""
    with urllib.request.urlopen(urllib.request.Request(f"{url}/api/v1/auth/demo", method="POST"), timeout=10) as answer:
        token: str = json.load(answer)["access_token"]
    return token


def read(url: str, path: str) -> Any:
    """The JSON behind a path of the API (`/vehicles`), as the demo user."""
    request = urllib.request.Request(f"{url}/api/v1{path}", headers={"Authorization": f"Bearer {demo_token(url)}"})
    with urllib.request.urlopen(request, timeout=10) as answer:
        return json.load(answer)


def subprotocols(token: str) -> list[Subprotocol]:
    """What a WebSocket offers to be let in."""
    return [Subprotocol(SUBPROTOCOL), Subprotocol(f"bearer.{token}")]
