"""The extremes of signals in a range: exact in every tier, with their time, and nobody else's."""

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from typing import Any

from litestar import Litestar
from litestar.testing import TestClient
from litestar.types import Scope
import pytest

from cloud.fleet.history_routes import get_extremes
from cloud.fleet.service import Fleet
from cloud.http.access import principal_of
from cloud.http.api import make_api
from cloud.http.rates import Rates
from cloud.identity.policy import TABLE, Principal, Role
from cloud.reads import TelemetryReads
from cloud.telemetry.tiers import build
from sync_protocol.codec import encode
from sync_protocol.messages import Meta, TimeAnchor
from tests.support.fleet import LocalPlane
from tests.support.frames import EPOCH_MS, group

OURS, THEIRS = 1, 2
START = datetime.fromtimestamp(EPOCH_MS / 1000, UTC)
RATES = Rates(100.0, 1000, lambda: 0.0)
ROWS = 3 * 60
HOTTEST, COLDEST = 100, 130
"""The minutes in which the board was at its hottest and its coldest."""


@pytest.fixture(scope="module")
def plane(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LocalPlane]:
    """Three hours with a board temperature each minute."""
    made = LocalPlane(tmp_path_factory.mktemp("extremes"))
    board_c: list[float | None] = [40.0 + minute % 3 for minute in range(ROWS)]
    board_c[HOTTEST], board_c[COLDEST] = 83.0, -12.0
    times_ms = [minute * 60_000 for minute in range(ROWS)]
    anchor = TimeAnchor(0, EPOCH_MS, "gps", 20)
    made.feed([encode(bytes(16), 1, 1, [group({"board_c": board_c}, times_ms)], Meta(anchors=(anchor,)))])
    made.store.write_sync(build)
    yield made
    made.close()


class Knows:
    """A registry and a database as far as the handler asks them: whose each vehicle is, and who asks."""

    def __init__(self, tenant_id: int, owners: dict[int, int]) -> None:
        self.tenant_id = tenant_id
        self._owners = owners

    def has_vehicle(self, tenant_id: int, vehicle_id: int) -> bool:
        return self._owners.get(vehicle_id) == tenant_id


@contextmanager
def asking(
    plane: LocalPlane, tenant_id: int, owners: dict[int, int], role: Role = Role.DISPATCHER
) -> Iterator[TestClient[Litestar]]:
    """The route as somebody of a tenant meets it."""
    caller = Principal("user", 1, tenant_id, f"tenant-{tenant_id}", TABLE[role], role)

    def fleet(scope: Scope) -> Fleet:
        mine = principal_of(scope).tenant_id
        knows: Any = Knows(mine, owners)
        return Fleet(knows, knows, TelemetryReads(plane.store, mine), knows, lambda: START + timedelta(hours=3))

    api = make_api("0", [get_extremes], [], {"fleet": fleet}, lambda token: caller if token == "good" else None, RATES)
    with TestClient(api) as client:
        client.headers["Authorization"] = "Bearer good"
        yield client


def ask(client: TestClient[Litestar], path: str = "/vehicles/1/extremes", **query: str) -> Any:
    answer = client.get(f"/api/v1{path}", params={"signals": "board_c,coolant_c", **query})
    assert answer.status_code == 200, answer.text
    return answer.json()


@pytest.mark.parametrize(("hours", "within_s"), [(2, 0), (3, 60), (30 * 24, 3600)])
def test_they_are_exact_and_placed_in_every_tier(plane: LocalPlane, hours: int, within_s: int) -> None:
    begin = START + timedelta(hours=3) - timedelta(hours=hours)
    with asking(plane, OURS, {1: OURS}) as client:
        answer = ask(client, **{"from": begin.isoformat()})
    assert answer["within_s"] == within_s
    board, coolant = answer["items"]
    assert (board["signal"], board["unit"]) == ("board_c", "celsius")
    for name, value, minute in (("highest", 83.0, HOTTEST), ("lowest", -12.0, COLDEST)):
        assert board[name]["value"] == value
        off = datetime.fromisoformat(board[name]["ts"]) - (START + timedelta(minutes=minute))
        assert abs(off) <= timedelta(seconds=within_s)
    assert (coolant["signal"], coolant["lowest"], coolant["highest"]) == ("coolant_c", None, None)


def test_the_end_is_not_in_the_range(plane: LocalPlane) -> None:
    end = START + timedelta(minutes=HOTTEST)
    with asking(plane, OURS, {1: OURS}) as client:
        board, _ = ask(client, **{"from": START.isoformat(), "to": end.isoformat()})["items"]
    assert board["highest"]["value"] == 42.0


def test_another_tenant_has_no_such_vehicle_and_would_read_nothing_of_it(plane: LocalPlane) -> None:
    with asking(plane, THEIRS, {1: OURS}) as client:
        assert client.get("/api/v1/vehicles/1/extremes", params={"signals": "board_c"}).status_code == 404
    with asking(plane, OURS, {1: OURS}, Role.DRIVER) as client:
        assert client.get("/api/v1/vehicles/1/extremes", params={"signals": "board_c"}).status_code == 403
    with asking(plane, THEIRS, {1: THEIRS}) as client:  # as if the registry were wrong: the reads are bound as well
        board, _ = ask(client)["items"]
    assert (board["lowest"], board["highest"]) == (None, None)
