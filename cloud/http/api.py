"""The Litestar application: routes, errors, OpenAPI."""

from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import Any

from litestar import Litestar, Router
from litestar.di import Provide
from litestar.exceptions import HTTPException
from litestar.openapi import OpenAPIConfig
from litestar.openapi.plugins import JsonRenderPlugin
from litestar.types import ControllerRouterHandler, Guard

from cloud.http.access import Authenticate, Identify, guard_with, require_actions
from cloud.http.problem import problem_response
from cloud.http.rates import Rates
from sync_protocol.errors import MilepostError

PREFIX = "/api/v1"


def make_api(
    version: str,
    v1: Sequence[ControllerRouterHandler],
    operations: Sequence[ControllerRouterHandler],
    dependencies: Mapping[str, Callable[..., Any]],
    identify: Identify,
    rates: Rates,
    more_guards: Sequence[Guard] = (),
) -> Litestar:
    """The API with `v1` below /api/v1 and `operations` (health, metrics) beside it, which are open.

    `more_guards` are asked after the one that knows who may call it.

    `TypeError` when a route of `v1` does not say what it does: nobody would know who may call it.
    """
    require_actions(v1)
    return Litestar(
        [Router(PREFIX, route_handlers=list(v1), guards=[guard_with(rates), *more_guards]), *operations],
        # Here and not at the router, which copies deeply what it is given.
        middleware=[partial(Authenticate, identify=identify)],
        dependencies={name: Provide(make, sync_to_thread=False) for name, make in dependencies.items()},
        exception_handlers={
            MilepostError: problem_response,
            HTTPException: problem_response,
            Exception: problem_response,
        },
        openapi_config=OpenAPIConfig(
            title="Milepost",
            version=version,
            description="Fleet telematics: nothing measured is lost, nothing is counted twice. Errors are RFC 9457.",
            use_handler_docstrings=True,
            path="/schema",
            render_plugins=[JsonRenderPlugin()],
        ),
        request_max_body_size=64 * 1024,
        logging_config=None,
    )
