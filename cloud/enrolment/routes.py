"""HTTP: devices coming in, claim codes, who a device is, locking it out, moving and removing it."""

from litestar import delete, get, post, put
from litestar.di import NamedDependency
from litestar.params import FromPath, JSONBody
from litestar.types import Scope
from sqlalchemy.orm import Session

from cloud.enrolment.claims import cancel_code, list_codes
from cloud.enrolment.payloads import (
    Authority,
    ClaimRequest,
    Claims,
    ClaimView,
    DeviceIdentity,
    Move,
    NewClaims,
)
from cloud.enrolment.service import Enrolling
from cloud.http.access import principal_of
from cloud.http.problem import PROBLEMS
from cloud.identity.policy import Action, Principal
from sync_protocol.enrolment import Challenge, Enrolled, EnrolmentRequest, RenewalRequest

Held = NamedDependency[Enrolling]


@get("/enrolments/authority", action=Action.PUBLIC, responses=PROBLEMS, tags=["enrolment"])
async def get_authority(enrolling: Held) -> Authority:
    """The authority of this service's certificates; a device believes it by the fingerprint in its claim."""
    ring = enrolling.authority
    return Authority(ring.authority.decode("ascii"), ring.authority_sha256)


@post("/enrolments/challenges", action=Action.PUBLIC, responses=PROBLEMS, tags=["enrolment"])
async def make_challenge(enrolling: Held) -> Challenge:
    """Something to sign, good for five minutes."""
    return Challenge(enrolling.challenges.make())


@post("/enrolments", action=Action.PUBLIC, responses=PROBLEMS, tags=["enrolment"])
async def enrol(enrolling: Held, scope: Scope, data: JSONBody[EnrolmentRequest]) -> Enrolled:
    """Let a device in, for a claim code and the proof that it holds its key."""
    who = _address(scope)
    enrolling.throttle.attempt(who)
    enrolling.challenges.check(data.challenge)
    answer = await enrolling.enrolment.enrol(data)
    enrolling.throttle.succeeded(who)
    return answer


@post("/enrolments/renewals", action=Action.PUBLIC, responses=PROBLEMS, tags=["enrolment"])
async def renew(enrolling: Held, scope: Scope, data: JSONBody[RenewalRequest]) -> Enrolled:
    """A new token for a device that is in, however long its last one has ended; never for one that was locked out."""
    who = (_address(scope), data.public_key)
    enrolling.throttle.attempt(who)
    enrolling.challenges.check(data.challenge)
    answer = await enrolling.enrolment.renew(data)
    enrolling.throttle.succeeded(who)
    return answer


@post("/claim-codes", action=Action.MANAGE_DEVICES, responses=PROBLEMS, tags=["enrolment"])
async def make_claims(enrolling: Held, scope: Scope, data: JSONBody[ClaimRequest]) -> NewClaims:
    """New claim codes. They are shown in this answer and never again."""
    caller = principal_of(scope)
    return await enrolling.make_claims(caller.tenant_id, data, _name(caller))


@get("/claim-codes", action=Action.MANAGE_DEVICES, responses=PROBLEMS, tags=["enrolment"])
async def list_claims(enrolling: Held, scope: Scope) -> Claims:
    """Claim codes, the newest first: how they begin, and who came in with them."""

    def read(session: Session) -> list[ClaimView]:
        return [
            ClaimView(
                row.id,
                row.hint,
                row.vehicle_id,
                row.made_by,
                row.created,
                row.expires,
                row.used,
                None if row.device_id is None else enrolling.name_of(row.device_id),
            )
            for row in list_codes(session)
        ]

    return Claims(await enrolling.of(principal_of(scope).tenant_id).run(read))


@delete("/claim-codes/{claim_id:int}", action=Action.MANAGE_DEVICES, responses=PROBLEMS, tags=["enrolment"])
async def cancel_claim(enrolling: Held, scope: Scope, claim_id: FromPath[int]) -> None:
    """Cancel a claim code that nobody has used."""
    await enrolling.of(principal_of(scope).tenant_id).write(lambda session: cancel_code(session, claim_id))


@get("/devices/{device_id:str}/identity", action=Action.READ_DEVICES, responses=PROBLEMS, tags=["devices"])
async def get_identity(enrolling: Held, scope: Scope, device_id: FromPath[str]) -> DeviceIdentity:
    """Keys of a device, whether it is connected, and whether somebody has copied it."""
    return await enrolling.identity_of(enrolling.device(principal_of(scope).tenant_id, device_id))


@post("/devices/{device_id:str}/revoke", action=Action.MANAGE_DEVICES, responses=PROBLEMS, tags=["devices"],
      status_code=200)  # fmt: skip
async def revoke_device(enrolling: Held, scope: Scope, device_id: FromPath[str]) -> DeviceIdentity:
    """Lock a device out: its connection ends now, and its key never opens anything again."""
    device = enrolling.device(principal_of(scope).tenant_id, device_id)
    await enrolling.revoke(device)
    return await enrolling.identity_of(device)


@put("/devices/{device_id:str}/vehicle", action=Action.MANAGE_DEVICES, responses=PROBLEMS, tags=["devices"])
async def move_device(enrolling: Held, scope: Scope, device_id: FromPath[str], data: JSONBody[Move]) -> DeviceIdentity:
    """From now on the device sits in another vehicle, or in none; what it measured before stays where it was."""
    device = enrolling.device(principal_of(scope).tenant_id, device_id)
    await enrolling.move(device, data.vehicle_id)
    return await enrolling.identity_of(device)


@delete("/devices/{device_id:str}", action=Action.MANAGE_DEVICES, responses=PROBLEMS, tags=["devices"])
async def remove_device(enrolling: Held, scope: Scope, device_id: FromPath[str]) -> None:
    """Lock a device out and take it off the list; what it measured stays with its vehicles."""
    await enrolling.remove(enrolling.device(principal_of(scope).tenant_id, device_id))


def _address(scope: Scope) -> str:
    client = scope.get("client")
    return client[0] if client else ""


def _name(caller: Principal) -> str:
    return f"{caller.kind} {caller.number}"


ROUTES = [
    get_authority,
    make_challenge,
    enrol,
    renew,
    make_claims,
    list_claims,
    cancel_claim,
    get_identity,
    revoke_device,
    move_device,
    remove_device,
]
