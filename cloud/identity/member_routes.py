"""HTTP: the members of the tenant, and inviting more."""

from typing import Any

from litestar import Request, Response, delete, get, patch, post
from litestar.di import NamedDependency
from litestar.params import FromPath, JSONBody
from litestar.types import Scope

from cloud.http.access import principal_of
from cloud.http.problem import PROBLEMS
from cloud.identity.members import Seated
from cloud.identity.payloads import (
    Acceptance,
    AccessToken,
    InvitationList,
    InvitationOrder,
    InvitationView,
    InvitedView,
    LinkLook,
    Member,
    Members,
    NewInvitation,
    RoleChange,
)
from cloud.identity.policy import Action, Role
from cloud.identity.routes import People, caller_of, with_cookie
from cloud.identity.tables import Invitation
from sync_protocol.errors import Unavailable

_INVITED = """You are invited to {tenant} on Milepost, as {role}.

Come in here, within a week:
{link}
"""


@get("/members", action=Action.READ_MEMBERS, responses=PROBLEMS, tags=["members"])
async def list_members(people: NamedDependency[People], scope: Scope) -> Members:
    """Who belongs to the tenant, by name."""
    return Members([_member(seated) for seated in await people.members.of(principal_of(scope).tenant_id)])


@patch("/members/{user_id:int}", action=Action.MANAGE_MEMBERS, responses=PROBLEMS, tags=["members"])
async def change_member(
    people: NamedDependency[People], scope: Scope, user_id: FromPath[int], data: JSONBody[RoleChange]
) -> Member:
    """Give a member another role, no higher than the caller's own; it holds at once."""
    return _member(await people.members.change(principal_of(scope), user_id, data.role))


@delete("/members/{user_id:int}", action=Action.MANAGE_MEMBERS, responses=PROBLEMS, tags=["members"])
async def remove_member(people: NamedDependency[People], scope: Scope, user_id: FromPath[int]) -> None:
    """Remove a member from the tenant; their sessions here end at once."""
    await people.members.remove(principal_of(scope), user_id)


@get("/invitations", action=Action.READ_MEMBERS, responses=PROBLEMS, tags=["members"])
async def list_invitations(people: NamedDependency[People], scope: Scope) -> InvitationList:
    """The invitations that nobody has taken yet, the newest first."""
    rows = await people.invitations.open_of(principal_of(scope).tenant_id)
    return InvitationList([_invitation(row) for row in rows])


@post("/invitations", action=Action.MANAGE_MEMBERS, responses=PROBLEMS, tags=["members"])
async def invite(
    people: NamedDependency[People], scope: Scope, data: JSONBody[InvitationOrder]
) -> Response[NewInvitation]:
    """Invite somebody, with a role no higher than the caller's own. The link is good once, for a week.

    Where the service has a mail server, it is sent too.
    """
    principal = principal_of(scope)
    row, token = await people.invitations.make(principal.tenant_id, data.email, data.role, principal.actions)
    link = people.link("invitation", token)
    is_sent = await _send(people, row, principal.tenant, link)
    made = NewInvitation(row.id, row.email, Role(row.role), row.expires, link, is_sent)
    return Response(made, status_code=201, headers={"Cache-Control": "no-store"})


@delete("/invitations/{invitation_id:int}", action=Action.MANAGE_MEMBERS, responses=PROBLEMS, tags=["members"])
async def withdraw_invitation(people: NamedDependency[People], scope: Scope, invitation_id: FromPath[int]) -> None:
    """The link is good no more."""
    await people.invitations.withdraw(principal_of(scope).tenant_id, invitation_id)


@post("/auth/invitations/look", action=Action.PUBLIC, status_code=200, responses=PROBLEMS, tags=["people"])
async def look_at_invitation(people: NamedDependency[People], data: JSONBody[LinkLook]) -> InvitedView:
    """What a link invites to."""
    invited = await people.invitations.look(data.token)
    return InvitedView(people.tenants.tenant_name(invited.tenant_id), invited.email, invited.role, invited.is_known)


@post("/auth/invitations/accept", action=Action.PUBLIC, status_code=200, responses=PROBLEMS, tags=["people"])
async def accept_invitation(
    people: NamedDependency[People], request: Request[Any, Any, Any], data: JSONBody[Acceptance]
) -> Response[AccessToken]:
    """Become a member and log in."""
    caller = caller_of(request.scope)
    opened = await people.invitations.accept(data.token, data.name, data.password, caller, data.otp)
    return with_cookie(people, opened)


async def _send(people: People, row: Invitation, tenant: str, link: str) -> bool:
    if people.mailer is None:
        return False
    text = _INVITED.format(tenant=tenant, role=row.role, link=link)
    try:
        await people.mailer.send(row.email, f"You are invited to {tenant} on Milepost", text)
    except Unavailable:
        return False  # the invitation stands, and its link can be sent by hand
    return True


def _member(seated: Seated) -> Member:
    user = seated.user
    return Member(user.id, user.name, user.email, seated.role, user.disabled is not None)


def _invitation(row: Invitation) -> InvitationView:
    return InvitationView(row.id, row.email, Role(row.role), row.expires)


ROUTES = [
    list_members,
    change_member,
    remove_member,
    list_invitations,
    invite,
    withdraw_invitation,
    look_at_invitation,
    accept_invitation,
]
