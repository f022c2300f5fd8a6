"""The OpenAPI description, made without a service. `python -m tests.support.openapi` writes the snapshot anew."""

import json
from pathlib import Path

from cloud.app import V1_ROUTES
from cloud.http.api import make_api
from cloud.http.rates import Rates
from cloud.ops import health

SNAPSHOT = Path(__file__).parents[1] / "contract" / "openapi.json"


def openapi() -> str:
    """As JSON, in a form that differs only where the API does."""
    nothing = {
        name: (lambda: None) for name in ("audit", "enrolling", "fleet", "live_access", "people", "probes", "pulls")
    }
    api = make_api("0", V1_ROUTES, health.ROUTES, nothing, lambda _: None, Rates(1, 1, lambda: 0.0))
    return json.dumps(api.openapi_schema.to_schema(), indent=1, sort_keys=True) + "\n"


if __name__ == "__main__":
    SNAPSHOT.write_text(openapi(), encoding="utf-8")
