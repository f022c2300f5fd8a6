"""Every read of the API, over data that came in as frames."""

import asyncio
from datetime import UTC, datetime, timedelta
import time
from typing import Any

import nats

from tests.integration.api.conftest import FRAMES, VIN, Service
from tests.support.cloud_process import eventually
from tests.support.fleet import FakeDevice
from tests.support.frames import Drive


def get(service: Service, path: str, **query: Any) -> Any:
    answer = service.http.get(f"/api/v1{path}", params=query)
    assert answer.status_code == 200, answer.text
    return answer.json()


def vehicle_id(service: Service, name: str = "van-01") -> int:
    found = get(service, "/vehicles", q=name)["items"]
    return int(found[0]["id"])


def iso(ts_ms: int) -> str:
    return datetime.fromtimestamp(ts_ms / 1000, UTC).isoformat()


def moment(text: str) -> datetime:
    assert text.endswith("Z")
    return datetime.fromisoformat(text)


def test_vehicles_and_their_newest_values(service: Service) -> None:
    items = [item for item in get(service, "/vehicles")["items"] if item["name"].startswith("van-")]  # not the imports
    assert [item["name"] for item in items[:3]] == ["van-01", "van-02", "van-03"]
    van = items[0]
    assert van["device_id"] == "van-01"
    assert van["state"]["status"] == "driving"
    assert 40 < van["position"]["lat_deg"] < 50
    assert set(van["position"]) == {"lat_deg", "lon_deg", "heading_deg", "speed_kmh", "ts"}
    assert abs(datetime.now(UTC) - moment(van["last_seen"])) < timedelta(minutes=5)
    assert get(service, f"/vehicles/{van['id']}") == van


def test_a_list_shows_values_that_still_hold(service: Service) -> None:
    # A vehicle that is heard now: how long ago the others were, depends on the tests before this one.
    asyncio.run(_drive_now(service.process.nats_url))
    van = eventually(lambda: get(service, "/vehicles", q="fresh-01")["items"], "the vehicle in the list")[0]
    assert {"speed_kmh", "engine_rpm", "coolant_c", "fuel_level_pct"} <= van["values"].keys()


async def _drive_now(url: str) -> None:
    client = await nats.connect(url)
    try:
        device = await FakeDevice(client, "fresh-01").listen()
        drive = Drive(7, epoch_ms=time.time_ns() // 1_000_000 - 15_000)
        frames = {1: drive.frame(1)}
        await device.send(frames[1])
        await device.until_acked(drive.stream_id, frames)
    finally:
        await client.close()


def test_vehicles_page_by_page(service: Service) -> None:
    names: list[str] = []
    cursor = None
    while True:
        page = get(service, "/vehicles", limit=1, **({"cursor": cursor} if cursor else {}))
        assert len(page["items"]) == 1
        names.append(page["items"][0]["name"])
        cursor = page["next_cursor"]
        if cursor is None:
            break
    assert names == [item["name"] for item in get(service, "/vehicles")["items"]]


def test_search_takes_wildcards_as_letters(service: Service) -> None:
    assert get(service, "/vehicles", q="VAN-02")["items"][0]["name"] == "van-02"
    assert get(service, "/vehicles", q="%")["items"] == []


def test_changing_a_vehicle(service: Service) -> None:
    number = vehicle_id(service, "van-02")
    changed = service.http.patch(f"/api/v1/vehicles/{number}", json={"plate": "FL 1234", "year": 2019}).json()
    assert (changed["plate"], changed["year"], changed["name"]) == ("FL 1234", 2019, "van-02")
    cleared = service.http.patch(f"/api/v1/vehicles/{number}", json={"plate": None}).json()
    assert (cleared["plate"], cleared["year"]) == (None, 2019)


def test_current_values_carry_their_age(service: Service) -> None:
    answer = get(service, f"/vehicles/{vehicle_id(service)}/state")
    values = {value["signal"]: value for value in answer["values"]}
    assert values["coolant_c"]["unit"] == "celsius"
    assert values["coolant_c"]["age_s"] >= 0
    assert values["coolant_c"]["text"] == "Engine coolant temperature"
    assert isinstance(values["coolant_c"]["is_stale"], bool)
    moment(values["coolant_c"]["ts"])


def test_history_raw_with_its_gap(service: Service) -> None:
    answer = get(
        service,
        f"/vehicles/{vehicle_id(service)}/history",
        signals="coolant_c,speed_kmh",
        **{"from": iso(service.start_ms), "to": iso(service.start_ms + 3_600_000), "points": 10_000},
    )
    assert answer["tier"] == "raw"
    assert [series["signal"] for series in answer["series"]] == ["coolant_c", "speed_kmh"]
    series = answer["series"][0]
    assert len(series["ts_ms"]) == len(series["value"])
    assert sum(value is not None for value in series["value"]) == (2 * FRAMES - 2) * 10
    assert None in series["value"]
    assert series["ts_ms"] == sorted(series["ts_ms"])


def test_history_downsampled_keeps_its_extremes(service: Service) -> None:
    query = {"from": iso(service.start_ms), "to": iso(service.start_ms + 900_000)}
    number = vehicle_id(service)
    whole = get(service, f"/vehicles/{number}/history", signals="engine_rpm", points=10_000, **query)["series"][0]
    small = get(service, f"/vehicles/{number}/history", signals="engine_rpm", points=20, **query)["series"][0]
    assert len(small["value"]) <= 25
    known = [value for value in whole["value"] if value is not None]
    assert min(v for v in small["min"] if v is not None) == min(known)
    assert max(v for v in small["max"] if v is not None) == max(known)


def test_history_over_a_day_reads_minutes(service: Service) -> None:
    query = {"from": iso(service.start_ms - 86_400_000), "to": iso(service.start_ms + 86_400_000)}
    answer = get(service, f"/vehicles/{vehicle_id(service)}/history", signals="coolant_c", **query)
    assert answer["tier"] == "1m"
    assert any(value is not None for value in answer["series"][0]["value"])


def test_extremes_are_those_of_the_history(service: Service) -> None:
    query = {"signals": "coolant_c", "from": iso(service.start_ms), "to": iso(service.start_ms + 3_600_000)}
    number = vehicle_id(service)
    (found,) = get(service, f"/vehicles/{number}/extremes", **query)["items"]
    (series,) = get(service, f"/vehicles/{number}/history", points=10_000, **query)["series"]
    known = [value for value in series["value"] if value is not None]
    assert (found["lowest"]["value"], found["highest"]["value"]) == (min(known), max(known))
    assert moment(found["highest"]["ts"]).timestamp() * 1000 >= service.start_ms


def test_track(service: Service) -> None:
    query = {"from": iso(service.start_ms), "to": iso(service.start_ms + 900_000)}
    track = get(service, f"/vehicles/{vehicle_id(service)}/track", points=50, **query)
    assert 10 < len(track["ts_ms"]) <= 50
    assert {len(column) for column in track.values()} == {len(track["ts_ms"])}


def test_events_newest_first_page_by_page(service: Service) -> None:
    number = vehicle_id(service)
    whole = get(service, f"/vehicles/{number}/events", limit=1000)
    assert whole["next_cursor"] is None
    times = [event["ts"] for event in whole["items"]]
    assert times == sorted(times, reverse=True)
    assert {"vin_read", "dtc_set", "dtc_cleared", "harsh_brake", "agent_started"} <= {e["kind"] for e in whole["items"]}
    paged: list[Any] = []
    cursor = None
    while True:
        page = get(service, f"/vehicles/{number}/events", limit=4, **({"cursor": cursor} if cursor else {}))
        paged += page["items"]
        cursor = page["next_cursor"]
        if cursor is None:
            break
    assert paged == whole["items"]


def test_events_of_a_kind(service: Service) -> None:
    items = get(service, f"/vehicles/{vehicle_id(service)}/events", kind="dtc_set,dtc_cleared")["items"]
    assert {item["kind"] for item in items} == {"dtc_set", "dtc_cleared"}
    assert items[-1]["data"]["code"] == "P0301"
    assert items[-1]["device_id"] == "van-01"
    assert items[-1]["seq"] == 1


def test_devices(service: Service) -> None:
    devices = {device["id"]: device for device in get(service, "/devices")["items"]}
    van = devices["van-01"]
    assert van["vehicle_name"] == "van-01"
    assert van["agent_version"] == "test"
    assert van["totals"] == {"stored": 2 * FRAMES - 2, "pending": 0, "lost": 2, "quarantined": 0}
    assert not van["is_forked"]
    assert devices["van-03"]["is_forked"]
    assert devices["van-03"]["totals"] == {"stored": 2, "pending": 0, "lost": 0, "quarantined": 1}
    assert get(service, "/devices/van-03") == devices["van-03"]


def test_the_ledger_accounts_for_every_frame(service: Service) -> None:
    ledger = get(service, "/devices/van-01/ledger")
    stream = ledger["streams"][0]
    assert stream["stream_id"] == service.van.stream_id.hex()
    assert stream["is_active"]
    assert stream["last_seq"] == 2 * FRAMES
    assert stream["boots"] == 2
    assert stream["stored"] == [[1, 39], [42, 2 * FRAMES]]
    assert stream["pending"] == []
    reasons = {(lost["first"], lost["last"]): lost["reason"] for lost in stream["lost"]}
    assert reasons[40, 40] == "disk_full"
    assert sum(last - first + 1 for first, last in reasons) == 2
    assert ledger["totals"]["lost"] == 2


def test_silences_have_the_devices_own_reason(service: Service) -> None:
    silences = get(service, "/devices/van-01/ledger")["silences"]
    killed = [silence for silence in silences if silence["reason"] == "killed"]
    assert len(killed) == 1
    start = datetime.fromtimestamp(service.start_ms / 1000, UTC)
    assert timedelta(minutes=14) < moment(killed[0]["from"]) - start < timedelta(minutes=16)
    assert timedelta(minutes=29) < moment(killed[0]["to"]) - start < timedelta(minutes=31)


def test_forks_are_shown(service: Service) -> None:
    stream = get(service, "/devices/van-03/ledger")["streams"][0]
    assert stream["forked"] == [2]
    assert stream["quarantined"] == [[3, 3]]


def test_the_signal_catalogue_is_sent_once(service: Service) -> None:
    answer = service.http.get("/api/v1/signals")
    rpm = next(item for item in answer.json()["items"] if item["name"] == "engine_rpm")
    assert (rpm["resolution"], rpm["pid"], rpm["vss"]) == ("1/4", "0C", "Vehicle.OBD.EngineSpeed")
    again = service.http.get("/api/v1/signals", headers={"If-None-Match": answer.headers["etag"]})
    assert (again.status_code, again.content) == (304, b"")


def test_the_summary_counts_what_was_promised(service: Service) -> None:
    def settled() -> Any:
        summary = get(service, "/summary")
        return summary if summary["frames"]["stored"] >= 2 * FRAMES + 1 else None

    summary = eventually(settled, "all frames counted")
    assert summary["vehicles"]["total"] >= 3
    assert sum(n for status, n in summary["vehicles"].items() if status != "total") == summary["vehicles"]["total"]
    assert summary["frames"]["lost"] == 2
    assert summary["doubled"] == 0
    assert summary["samples"] > 0


def test_watching_sends_the_lease_down(service: Service) -> None:
    answer = service.http.post(f"/api/v1/vehicles/{vehicle_id(service)}/watch")
    assert (answer.status_code, answer.json()) == (202, {"lease_s": 60})


def test_states_come_from_the_samples(service: Service) -> None:
    query = {"from": iso(service.start_ms - 60_000), "to": iso(service.start_ms + 3_600_000)}

    def states() -> Any:
        items = get(service, f"/vehicles/{vehicle_id(service)}/states", **query)["items"]
        return items if len(items) == 3 else None

    first, silent, last = eventually(states, "three stretches")
    assert (first["status"], silent["status"], last["status"]) == ("driving", "silent", "driving")
    assert (first["to"], silent["to"], last["to"]) == (silent["from"], last["from"], None)
    state = get(service, f"/vehicles/{vehicle_id(service)}")["state"]
    assert (state["status"], state["since"]) == ("driving", last["from"])


def test_trouble_codes_come_from_the_events(service: Service) -> None:
    path = f"/vehicles/{vehicle_id(service)}/faults"

    def faults() -> Any:
        items = get(service, path)["items"]
        return items if len(items) == 2 else None

    standing, cleared = eventually(faults, "two trouble codes")
    assert (standing["code"], standing["text"]) == ("P0301", "Misfires in cylinder 1")
    assert (standing["status"], standing["cleared_at"]) == ("stored", None)
    assert [(item["signal"], item["value"], item["unit"]) for item in standing["freeze"]] == [
        ("coolant_c", 88.0, "celsius"),
        ("engine_rpm", 2140.0, "rpm"),
    ]
    assert cleared["freeze"] == []
    assert (cleared["code"], cleared["status"]) == ("P1234", "pending")
    assert cleared["text"].startswith("Defined by the maker")
    assert cleared["cleared_at"] > cleared["first_seen"]
    assert get(service, path, active=True)["items"] == [standing]
    assert get(service, path, active=False)["items"] == [cleared]
    assert get(service, "/vehicles", q="van-01")["items"][0]["fault_count"] == 1


def test_the_vin_comes_from_the_vehicle(service: Service) -> None:
    eventually(lambda: get(service, "/vehicles", q=VIN)["items"], "the VIN")
