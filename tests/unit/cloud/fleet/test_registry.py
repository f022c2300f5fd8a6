"""The registry: registration on sight, memory equals database, seats in time, what a hello tells."""

from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime

import pytest
from sqlalchemy import event, func, select

from cloud.config import RegistryConfig
from cloud.db.engine import Database
from cloud.fleet.registry import FleetRegistry
from cloud.fleet.tables import Device, Vehicle
from sync_protocol.errors import Conflict
from sync_protocol.messages import Hello

CHANGE = datetime(2026, 5, 1, tzinfo=UTC)
CHANGE_US = int(CHANGE.timestamp()) * 1_000_000


@pytest.fixture
def db(new_url: Callable[[], str]) -> Iterator[Database]:
    database = Database(new_url())
    yield database
    database.close()


def loaded(db: Database, *, is_demo: bool = True) -> FleetRegistry:
    registry = FleetRegistry(db, RegistryConfig(), is_demo=is_demo)
    registry.load()
    return registry


def test_a_device_registers_on_sight_with_a_vehicle(db: Database) -> None:
    registry = loaded(db)
    ref = registry.device("demo", "van-01")
    assert ref is not None
    assert ref.tenant_id == registry.tenant_named("demo")
    vehicle_id = registry.vehicle_at(ref.id, 0)
    assert vehicle_id is not None
    assert registry.device_of(vehicle_id) == ref
    assert registry.device("demo", "van-01") == ref


def test_memory_and_a_fresh_load_agree(db: Database) -> None:
    first = loaded(db).device("demo", "van-01")
    again = loaded(db, is_demo=False)
    assert again.device("demo", "van-01") == first
    assert first is not None
    assert again.vehicle_of(first.id) == again.vehicle_at(first.id, CHANGE_US)


def test_many_devices_met_at_once_cost_one_transaction(db: Database) -> None:
    registry = loaded(db)
    first = registry.device("demo", "van-000")
    commits: list[None] = []
    event.listen(db.engine, "commit", lambda _connection: commits.append(None))
    names = [("demo", f"van-{n:03d}") for n in range(300)]
    registry.meet([*names, *names, ("other", "van-000")])
    assert len(commits) == 1
    assert registry.device("demo", "van-000") == first
    met = [registry.device("demo", name) for _, name in names]
    assert len({device.id for device in met if device is not None}) == 300
    for device in met:
        assert device is not None
        assert loaded_vehicle(db, registry.vehicle_of(device.id)) == device.name
    again = loaded(db, is_demo=False)
    assert [again.device("demo", name) for _, name in names] == met
    assert again.device("other", "van-000") is None


def loaded_vehicle(db: Database, vehicle_id: int | None) -> str:
    return db.run_sync(lambda session: session.scalars(select(Vehicle.name).where(Vehicle.id == vehicle_id)).one())


def test_strangers_are_not_let_in(db: Database) -> None:
    assert loaded(db).device("other", "van-01") is None
    assert loaded(db, is_demo=False).device("demo", "van-01") is None


def test_many_threads_register_one_device_once(db: Database) -> None:
    registry = loaded(db)
    with ThreadPoolExecutor(8) as pool:
        refs = set(pool.map(lambda _: registry.device("demo", "van-01").id, range(16)))
    assert len(refs) == 1
    assert db.run_sync(lambda s: s.scalar(select(func.count()).select_from(Device))) == 1


def test_a_device_that_moves_is_in_each_vehicle_at_its_time(db: Database) -> None:
    registry = loaded(db)
    one, two = registry.device("demo", "van-01"), registry.device("demo", "van-02")
    assert one is not None
    assert two is not None
    old, new = registry.vehicle_of(one.id), registry.vehicle_of(two.id)
    assert new is not None
    registry.assign(two.id, None, CHANGE)
    registry.assign(one.id, new, CHANGE)
    for known in (registry, loaded(db)):
        assert known.vehicle_at(one.id, CHANGE_US - 1) == old
        assert known.vehicle_at(one.id, CHANGE_US) == new
        assert known.vehicle_of(two.id) is None
        assert known.device_of(new) == one
    with pytest.raises(Conflict, match="after its last change"):
        registry.assign(one.id, old, CHANGE)


def test_a_hello_tells_version_and_vin(db: Database) -> None:
    registry = loaded(db)
    ref = registry.device("demo", "van-01")
    assert ref is not None
    registry.hello(ref, Hello("0.1.0", 1, 0, (), vin="wvwzzz1jzxw000001"))
    registry.hello(ref, Hello("0.1.1", 1, 0, (), vin="not a vin"))
    device = db.run_sync(lambda s: s.get(Device, ref.id))
    vehicle = db.run_sync(lambda s: s.get(Vehicle, registry.vehicle_of(ref.id)))
    assert device is not None
    assert vehicle is not None
    assert (device.agent_version, vehicle.vin) == ("0.1.1", "WVWZZZ1JZXW000001")
