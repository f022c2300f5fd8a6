"""HTTP: pulling a range of a vehicle's history out of turn."""

from datetime import timedelta

from litestar import delete, get, post
from litestar.di import NamedDependency
from litestar.params import FromPath, JSONBody

from cloud.fleet.pull_view import Pull, PullList, PullRequest
from cloud.fleet.pulls import Pulls
from cloud.fleet.service import Fleet
from cloud.http.parameters import span
from cloud.http.problem import PROBLEMS, InvalidInput
from cloud.identity.policy import Action

_LONGEST = timedelta(days=31)


@post(
    "/vehicles/{vehicle_id:int}/pulls",
    action=Action.PULL_HISTORY,
    status_code=202,
    responses=PROBLEMS,
    tags=["history"],
)
async def pull_history(
    fleet: NamedDependency[Fleet], pulls: NamedDependency[Pulls], vehicle_id: FromPath[int], data: JSONBody[PullRequest]
) -> Pull:
    """Ask the vehicle for a range out of turn, also beyond the SIM's budget; it may be offline and answer later."""
    fleet.require(vehicle_id)
    asked = span(data.from_, data.to, now=fleet.clock(), default=_LONGEST)
    if asked.end - asked.start > _LONGEST:
        raise InvalidInput("from", f"at most {_LONGEST.days} days before `to`", data.from_)
    return await pulls.ask(vehicle_id, asked.start, asked.end, data.most_mb)


@get("/vehicles/{vehicle_id:int}/pulls", action=Action.READ_HISTORY, responses=PROBLEMS, tags=["history"])
async def list_pulls(
    fleet: NamedDependency[Fleet], pulls: NamedDependency[Pulls], vehicle_id: FromPath[int]
) -> PullList:
    """The pulls of a vehicle, newest first: the open ones and the last 50."""
    fleet.require(vehicle_id)
    return PullList(await pulls.of_vehicle(vehicle_id))


@get("/vehicles/{vehicle_id:int}/pulls/{number:int}", action=Action.READ_HISTORY, responses=PROBLEMS, tags=["history"])
async def get_pull(
    fleet: NamedDependency[Fleet], pulls: NamedDependency[Pulls], vehicle_id: FromPath[int], number: FromPath[int]
) -> Pull:
    """What became of a pull."""
    fleet.require(vehicle_id)
    return await pulls.one(vehicle_id, number)


@delete(
    "/vehicles/{vehicle_id:int}/pulls/{number:int}",
    action=Action.PULL_HISTORY,
    status_code=200,
    responses=PROBLEMS,
    tags=["history"],
)
async def cancel_pull(
    fleet: NamedDependency[Fleet], pulls: NamedDependency[Pulls], vehicle_id: FromPath[int], number: FromPath[int]
) -> Pull:
    """Cancel a pull; what has arrived stays."""
    fleet.require(vehicle_id)
    return await pulls.cancel(vehicle_id, number)


ROUTES = [pull_history, list_pulls, get_pull, cancel_pull]
