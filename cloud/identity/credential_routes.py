"""HTTP: second factors, forgotten passwords, API keys."""

from datetime import timedelta
from typing import Any

from litestar import Request, Response, delete, get, post
from litestar.di import NamedDependency
from litestar.params import FromPath, JSONBody
from litestar.types import Scope

from cloud.http.access import principal_of
from cloud.http.problem import PROBLEMS
from cloud.identity import totp
from cloud.identity.payloads import (
    ApiKeyList,
    ApiKeyOrder,
    ApiKeyView,
    NewApiKey,
    NewPassword,
    NewSecondFactor,
    OneTimeCode,
    RecoveryCodes,
    ResetOrder,
)
from cloud.identity.policy import Action
from cloud.identity.routes import People, caller_of
from cloud.identity.tables import ApiKey

_NO_STORE = {"Cache-Control": "no-store"}


@post("/me/totp", action=Action.SELF, responses=PROBLEMS, tags=["people"])
async def begin_second_factor(people: NamedDependency[People], scope: Scope) -> Response[NewSecondFactor]:
    """A new secret for an authenticator app; it counts after a first code."""
    secret, uri = await people.second.begin(principal_of(scope).number)
    return Response(NewSecondFactor(totp.readable(secret), uri), status_code=201, headers=_NO_STORE)


@post("/me/totp/confirm", action=Action.SELF, status_code=200, responses=PROBLEMS, tags=["people"])
async def confirm_second_factor(
    people: NamedDependency[People], scope: Scope, data: JSONBody[OneTimeCode]
) -> Response[RecoveryCodes]:
    """From now on logging in needs a code. Answers with recovery codes, this once."""
    codes = await people.second.confirm(principal_of(scope).number, data.code)
    return Response(RecoveryCodes(codes), headers=_NO_STORE)


@post("/me/totp/remove", action=Action.SELF, status_code=204, responses=PROBLEMS, tags=["people"])
async def remove_second_factor(people: NamedDependency[People], scope: Scope, data: JSONBody[OneTimeCode]) -> None:
    """Logging in needs no code any more; asks for a last one."""
    await people.second.remove(principal_of(scope).number, data.code)


@post("/auth/password-resets", action=Action.PUBLIC, status_code=204, responses=PROBLEMS, tags=["people"])
async def ask_for_reset(
    people: NamedDependency[People], request: Request[Any, Any, Any], data: JSONBody[ResetOrder]
) -> None:
    """A link for a new password by mail. The answer is the same whether there is such a user or not."""
    await people.resets.ask(data.email, caller_of(request.scope))


@post("/auth/password-resets/use", action=Action.PUBLIC, status_code=204, responses=PROBLEMS, tags=["people"])
async def use_reset(people: NamedDependency[People], data: JSONBody[NewPassword]) -> None:
    """Set a new password by such a link; every session of the user ends."""
    await people.resets.use(data.token, data.password)


@get("/api-keys", action=Action.MANAGE_KEYS, responses=PROBLEMS, tags=["keys"])
async def list_api_keys(people: NamedDependency[People], scope: Scope) -> ApiKeyList:
    """The API keys that are good, the newest first."""
    return ApiKeyList([_view(row) for row in await people.keys.of(principal_of(scope).tenant_id)])


@post("/api-keys", action=Action.MANAGE_KEYS, responses=PROBLEMS, tags=["keys"])
async def make_api_key(
    people: NamedDependency[People], scope: Scope, data: JSONBody[ApiKeyOrder]
) -> Response[NewApiKey]:
    """A key for a machine, with some of the caller's actions, until a day. The token is in this answer only."""
    row, token = await people.keys.make(principal_of(scope), data.name, data.actions, timedelta(days=data.days))
    view = _view(row)
    made = NewApiKey(view.id, view.name, view.actions, view.created, view.expires, view.last_used, token)
    return Response(made, status_code=201, headers=_NO_STORE)


@delete("/api-keys/{key_id:int}", action=Action.MANAGE_KEYS, responses=PROBLEMS, tags=["keys"])
async def end_api_key(people: NamedDependency[People], scope: Scope, key_id: FromPath[int]) -> None:
    """The key is good no more, from now on."""
    await people.keys.end(principal_of(scope).tenant_id, key_id)


def _view(row: ApiKey) -> ApiKeyView:
    return ApiKeyView(row.id, row.name, row.actions, row.created, row.expires, row.used)


ROUTES = [
    begin_second_factor,
    confirm_second_factor,
    remove_second_factor,
    ask_for_reset,
    use_reset,
    list_api_keys,
    make_api_key,
    end_api_key,
]
