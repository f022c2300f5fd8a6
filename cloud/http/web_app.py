"""The manager's app as static files: Range, 304 and precompressed variants by servestatic, deep links to index.html."""

import asyncio
from pathlib import Path
from typing import Any

from litestar.types import ASGIApp, Receive, Scope, Send
from servestatic import ServeStaticASGI

DIST = Path(__file__).parents[1] / "web" / "dist"
_OURS = ("/api/", "/schema", "/health", "/ready", "/metrics")
_FILES_ONLY = ("/assets/", "/map/")
_NOT_BUILT = """<!doctype html>
<html lang="en"><meta charset="utf-8"><title>Milepost</title>
<main><h1>Milepost runs, its web app is not built</h1>
<p>Build it with <code>just web</code> (or <code>python scripts/web.py build</code>).</p>
<p>The API is at <a href="/schema/openapi.json">/schema/openapi.json</a>,
the vehicles at <a href="/api/v1/vehicles">/api/v1/vehicles</a>.</p></main></html>
"""


class WebApp:
    """ASGI application: files of the web app, index.html for the app's own addresses, the API for everything else.

    Files are looked up when they are asked for, so a rebuilt app is served without a new start.
    """

    def __init__(self, api: ASGIApp, dist: Path = DIST) -> None:
        self._api = api
        self._index = dist / "index.html"
        self._files: Any = ServeStaticASGI(
            api,
            root=dist,
            index_file=True,
            max_age=0,
            allow_all_origins=False,
            # Some stats a file: an inventory made at the start costs less, and answers 404 after a rebuild.
            autorefresh=True,
            # Vite puts a hash of the content into the names below assets/.
            immutable_file_test=r"^/assets/",
        )

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve a file, the app, or pass the request on."""
        if str(scope["type"]) != "http" or scope["path"].startswith(_OURS):
            await self._api(scope, receive, send)
        elif not await asyncio.to_thread(self._is_page, scope):
            await self._files(scope, receive, send)
        elif self._index.is_file():
            await self._files({**scope, "path": "/"}, receive, send)
        else:
            await _send_html(send, 200 if scope["path"] == "/" else 404)

    def _is_page(self, scope: Any) -> bool:
        """Whether a browser asks for a page (not a file): such an address belongs to the app's router."""
        path = scope["path"]
        if scope["method"] not in ("GET", "HEAD") or path.startswith(_FILES_ONLY):
            return False
        if path == "/":
            return True
        accept = next((value for name, value in scope["headers"] if name == b"accept"), b"")
        return b"text/html" in accept and self._files.find_file(path) is None


async def _send_html(send: Any, status: int) -> None:
    body = _NOT_BUILT.encode()
    headers = [(b"content-type", b"text/html; charset=utf-8"), (b"content-length", str(len(body)).encode())]
    await send({"type": "http.response.start", "status": status, "headers": headers})
    await send({"type": "http.response.body", "body": body})
