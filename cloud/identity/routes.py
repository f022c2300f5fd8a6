"""HTTP: logging in and out, the caller, sessions."""

from collections.abc import Callable
from datetime import datetime
from typing import Annotated, Any, Literal, NamedTuple

from litestar import Request, Response, delete, get, post, put
from litestar.datastructures import Cookie
from litestar.di import NamedDependency
from litestar.enums import RequestEncodingType
from litestar.params import Body, FromPath, JSONBody
from litestar.types import Scope

from cloud.http.access import principal_of
from cloud.http.problem import PROBLEMS, Unauthenticated
from cloud.identity.accounts import Accounts
from cloud.identity.api_keys import PREFIX as KEY_PREFIX
from cloud.identity.api_keys import ApiKeys
from cloud.identity.invitations import Invitations
from cloud.identity.mail import Mailer
from cloud.identity.members import Members
from cloud.identity.payloads import AccessToken, Me, PasswordChange, SessionList, SessionView, TokenForm, Ways
from cloud.identity.personal import Personal, PersonalData
from cloud.identity.policy import Action, Principal
from cloud.identity.resets import Resets
from cloud.identity.second_factor import SecondFactor
from cloud.identity.sessions import ACCESS_LIFE_S, Caller, Opened, Sessions, Tenants

COOKIE = "milepost_refresh"
COOKIE_PATH = "/api/v1/auth"
_NO_STORE = {"Cache-Control": "no-store"}


class People(NamedTuple):
    """What the routes of people hold. `is_secure`: the cookie travels over HTTPS only.

    `url`: where people reach this service, for links.
    """

    tenants: Tenants
    accounts: Accounts
    sessions: Sessions
    members: Members
    invitations: Invitations
    second: SecondFactor
    resets: Resets
    keys: ApiKeys
    mailer: Mailer | None
    is_demo: bool
    personal: Personal
    is_secure: bool
    url: Callable[[], str]

    def identify(self, token: str) -> Principal | None:
        """The principal behind an access token or an API key."""
        return self.keys.identify(token) if token.startswith(KEY_PREFIX) else self.sessions.identify(token)

    def link(self, page: str, token: str) -> str:
        """An address of the web app that is for one person."""
        return link(self.url, page, token)


@get("/auth/ways", action=Action.PUBLIC, responses=PROBLEMS, tags=["people"])
async def get_ways(people: NamedDependency[People]) -> Ways:
    """How one logs in to this service."""
    return Ways(people.is_demo, people.mailer is not None)


@post("/auth/token", action=Action.PUBLIC, status_code=200, responses=PROBLEMS, tags=["people"])
async def log_in(
    people: NamedDependency[People],
    request: Request[Any, Any, Any],
    data: Annotated[TokenForm, Body(media_type=RequestEncodingType.URL_ENCODED)],
) -> Response[AccessToken]:
    """Log in with e-mail address and password (OAuth 2 password grant)."""
    caller = caller_of(request.scope)
    opened = await people.accounts.log_in(data.username, data.password, data.tenant, caller, data.otp)
    return with_cookie(people, opened)


@post("/auth/demo", action=Action.PUBLIC, status_code=200, responses=PROBLEMS, tags=["people"])
async def log_in_demo(people: NamedDependency[People], request: Request[Any, Any, Any]) -> Response[AccessToken]:
    """Log in as the demo user; a service that is no demo has none."""
    return with_cookie(people, await people.accounts.log_in_demo(caller_of(request.scope)))


@post("/auth/refresh", action=Action.PUBLIC, status_code=200, responses=PROBLEMS, tags=["people"])
async def refresh(people: NamedDependency[People], request: Request[Any, Any, Any]) -> Response[AccessToken]:
    """A new access token for the cookie, which is replaced; using a replaced one ends the session."""
    token = request.cookies.get(COOKIE)
    if token is None:
        raise Unauthenticated("There is no session here: log in.")
    return with_cookie(people, await people.sessions.refresh(token))


@post(
    "/auth/log-out",
    action=Action.PUBLIC,
    status_code=204,
    responses=PROBLEMS,
    tags=["people"],
    response_cookies=[Cookie(COOKIE, value="", path=COOKIE_PATH, max_age=0, httponly=True, samesite="strict")],
)
async def log_out(people: NamedDependency[People], request: Request[Any, Any, Any]) -> None:
    """End the session of the cookie, and the cookie; without one nothing happens."""
    token = request.cookies.get(COOKIE)
    session_id = None if token is None else people.sessions.of_refresh(token)
    if session_id is not None:
        await people.sessions.end(session_id, "logged_out")


@get("/me", action=Action.SELF, responses=PROBLEMS, tags=["people"])
async def get_me(people: NamedDependency[People], scope: Scope) -> Me:
    """Who is logged in, and what the role includes."""
    principal = principal_of(scope)
    user = await people.accounts.user(principal.number)
    assert principal.role is not None
    return Me(
        user.id,
        user.email,
        user.name,
        principal.tenant,
        principal.role,
        sorted(principal.actions),
        principal.is_demo,
        user.totp_since is not None,
        principal.session_id,
    )


@get("/me/data", action=Action.SELF, looks_at="personal_data", responses=PROBLEMS, tags=["people"])
async def get_my_data(people: NamedDependency[People], scope: Scope) -> Response[PersonalData]:
    """Everything that is kept about the caller, in every company; what they did stands in the companies' audit logs."""
    return Response(await people.personal.of(principal_of(scope).number), headers=_NO_STORE)


@put("/me/password", action=Action.SELF, status_code=204, responses=PROBLEMS, tags=["people"])
async def change_password(people: NamedDependency[People], scope: Scope, data: JSONBody[PasswordChange]) -> None:
    """Change the caller's password; every other session of theirs ends."""
    principal = principal_of(scope)
    await people.accounts.change_password(principal, data.current_password, data.new_password, caller_of(scope))


@get("/auth/sessions", action=Action.SELF, responses=PROBLEMS, tags=["people"])
async def list_sessions(people: NamedDependency[People], scope: Scope) -> SessionList:
    """The caller's sessions, the one used last first."""
    principal = principal_of(scope)
    return SessionList(
        [
            SessionView(
                live.principal.session_id,
                live.principal.tenant,
                live.created,
                live.refreshed,
                live.expires,
                live.caller.agent,
                live.caller.address,
                live.principal.session_id == principal.session_id,
            )
            for live in people.sessions.of_user(principal.number)
        ]
    )


@delete("/auth/sessions/{session_id:str}", action=Action.SELF, responses=PROBLEMS, tags=["people"])
async def end_session(people: NamedDependency[People], scope: Scope, session_id: FromPath[str]) -> None:
    """End one of the caller's sessions: its tokens and its live connections are over at once."""
    await people.sessions.end_own(principal_of(scope).number, session_id)


def link(url: Callable[[], str], page: str, token: str) -> str:
    """An address with a token, which stands behind the `#`: browsers keep that part, so that no log ever has it."""
    return f"{url()}/{page}#{token}"


def caller_of(scope: Scope) -> Caller:
    """Where a request comes from."""
    agent = next((value.decode("latin-1") for name, value in scope["headers"] if name == b"user-agent"), "")
    client = scope["client"]
    return Caller("" if client is None else client[0], agent)


def with_cookie(people: People, opened: Opened) -> Response[AccessToken]:
    """The tokens of a session: one in the body, the other in the cookie."""
    age_s = max(0, int((opened.expires - datetime.now(opened.expires.tzinfo)).total_seconds()))
    return Response(
        AccessToken(opened.access, ACCESS_LIFE_S),
        cookies=[_cookie(people, opened.refresh, age_s)],
        headers=_NO_STORE,
    )


def _cookie(people: People, value: str, age_s: int) -> Cookie:
    strict: Literal["strict"] = "strict"
    return Cookie(
        COOKIE, value=value, path=COOKIE_PATH, max_age=age_s, secure=people.is_secure, httponly=True, samesite=strict
    )


ROUTES = [
    get_ways,
    log_in,
    log_in_demo,
    refresh,
    log_out,
    get_me,
    get_my_data,
    change_password,
    list_sessions,
    end_session,
]
