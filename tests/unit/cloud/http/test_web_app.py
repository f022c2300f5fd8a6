"""The web app's files: the app's own addresses, ranges, revalidation, and what is there before it is built."""

from collections.abc import Iterator
from pathlib import Path

from litestar import Litestar, get
from litestar.testing import TestClient
import pytest

from cloud.http.web_app import WebApp

HTML = {"Accept": "text/html,application/xhtml+xml"}


@get("/api/v1/thing")
async def thing() -> str:
    """A route of the API."""
    return "thing"


@pytest.fixture
def built(tmp_path: Path) -> Iterator[TestClient[Litestar]]:
    (tmp_path / "assets").mkdir()
    (tmp_path / "index.html").write_text("<!doctype html><title>app</title>", encoding="utf-8")
    (tmp_path / "assets" / "map-abc123.js").write_text("0123456789", encoding="utf-8")
    with TestClient(WebApp(Litestar([thing], openapi_config=None), tmp_path)) as client:
        yield client


def test_deep_links_open_the_app(built: TestClient[Litestar]) -> None:
    for path in ("/", "/vehicles/7", "/devices/van-01/ledger", "/vehicles/v1.2"):
        answer = built.get(path, headers=HTML)
        assert answer.status_code == 200
        assert "<title>app" in answer.text


def test_the_api_passes_through(built: TestClient[Litestar]) -> None:
    assert built.get("/api/v1/thing", headers=HTML).text == "thing"
    assert built.get("/api/v1/other", headers=HTML).status_code == 404
    assert built.get("/missing.js").status_code == 404
    assert built.get("/assets/missing.js", headers=HTML).status_code == 404
    assert built.get("/vehicles/7", headers={"Accept": "application/json"}).status_code == 404


def test_assets_are_kept_for_ever_and_in_parts(built: TestClient[Litestar]) -> None:
    whole = built.get("/assets/map-abc123.js")
    assert "immutable" in whole.headers["cache-control"]
    assert "access-control-allow-origin" not in whole.headers
    part = built.get("/assets/map-abc123.js", headers={"Range": "bytes=2-4"})
    assert (part.status_code, part.text) == (206, "234")


def test_pages_are_revalidated(built: TestClient[Litestar]) -> None:
    first = built.get("/", headers=HTML)
    assert "max-age=0" in first.headers["cache-control"]
    again = built.get("/", headers={**HTML, "If-None-Match": first.headers["etag"]})
    assert again.status_code == 304


def test_before_it_is_built_a_page_says_how(tmp_path: Path) -> None:
    with TestClient(WebApp(Litestar([thing], openapi_config=None), tmp_path)) as client:
        assert "just web" in client.get("/").text
        assert client.get("/").status_code == 200
        assert client.get("/vehicles/7", headers=HTML).status_code == 404
        assert client.get("/api/v1/thing").text == "thing"


def test_a_rebuilt_app_is_served_without_a_new_start(tmp_path: Path) -> None:
    index = tmp_path / "index.html"
    with TestClient(WebApp(Litestar([thing], openapi_config=None), tmp_path)) as client:
        index.write_text("<!doctype html><title>first", encoding="utf-8")
        assert client.get("/", headers=HTML).text.endswith("first")
        (tmp_path / "assets").mkdir()
        (tmp_path / "assets" / "page-def456.js").write_text("new", encoding="utf-8")
        index.write_text("<!doctype html><title>second one", encoding="utf-8")
        assert client.get("/vehicles", headers=HTML).text.endswith("second one")
        assert client.get("/assets/page-def456.js").text == "new"
        index.unlink()
        assert "just web" in client.get("/", headers=HTML).text
