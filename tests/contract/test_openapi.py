"""The API is a promise: its description changes only together with the snapshot, where a reviewer sees it."""

import json
import warnings

from litestar.exceptions import LitestarDeprecationWarning

from tests.support.openapi import SNAPSHOT, openapi

REFERENCE = "#/components/schemas/"


def test_the_description_is_the_snapshot() -> None:
    assert openapi() == SNAPSHOT.read_text(encoding="utf-8"), "meant? then: python -m tests.support.openapi"


def test_nothing_of_litestar_that_goes_away_is_used() -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("error", LitestarDeprecationWarning)
        warnings.simplefilter("error", DeprecationWarning)
        openapi()


def test_every_route_says_what_it_is_and_how_it_fails() -> None:
    description = json.loads(openapi())
    for path, methods in description["paths"].items():
        for method, operation in methods.items():
            assert operation["description"], (method, path)
            if not path.startswith("/api/"):
                continue
            for status in ("400", "401", "403", "404", "409", "429", "503"):
                schema = operation["responses"][status]["content"]["application/problem+json"]["schema"]
                assert schema == {"$ref": REFERENCE + "Problem"}, (method, path)


def test_every_name_is_snake_case() -> None:
    for name, schema in json.loads(openapi())["components"]["schemas"].items():
        for field in schema.get("properties", {}):
            assert field == field.lower(), (name, field)
