"""Modes and stages: what may be sent, by the network and by the budget."""

from pathlib import Path
import socket
from typing import Any

import msgspec
import pytest

from edge.uplink.policy import MB, Policy, PolicyConfig
from edge.uplink.traffic import Traffic

DAY_MS = 86_400_000
NOON = 20_000 * DAY_MS + DAY_MS // 2


class Peer(socket.socket):
    """A socket that only knows whom it is connected to."""

    def getpeername(self) -> Any:
        return ("203.0.113.7", 4222)


@pytest.fixture
def root(tmp_path: Path) -> Path:
    (tmp_path / "proc/net").mkdir(parents=True)
    return tmp_path


def route(root: Path, interface: str) -> None:
    (root / "proc/net/route").write_text(f"head\n{interface}\t00000000\t0\t0003\t0\t0\t0\t00000000\t0\t0\t0\n")


def test_auto_follows_the_route_and_the_configuration_overrules_it(root: Path) -> None:
    with Peer() as peer:
        for interface, mode in (("wwan0", "metered"), ("eth0", "normal"), ("tun0", "metered"), ("ppp0", "normal")):
            route(root, interface)
            config = PolicyConfig(metered_interfaces=("tun0",), unmetered_interfaces=("ppp0",), bundle_s=30)
            policy = Policy(config, Traffic(1), root=root)
            assert (policy.mode, policy.view().interface) == ("normal", None)
            policy.connected(peer, 0)
            assert (policy.mode, policy.bundle_s) == (mode, 30 if mode == "metered" else 0)
            assert interface in policy.view().why
        forced = Policy(PolicyConfig(mode="metered"), Traffic(1), root=root)
        assert (forced.mode, forced.bundle_s) == ("metered", 60)


def test_a_route_that_changes_under_a_connection_is_noticed(root: Path) -> None:
    route(root, "eth0")
    policy = Policy(PolicyConfig(), Traffic(1), root=root)
    with Peer() as peer:
        policy.connected(peer, 0)
        route(root, "wwan0")
        policy.tick(1_000, None)
        assert policy.mode == "normal", "not looked at again yet"
        policy.tick(31_000, None)
        assert policy.mode == "metered"
    policy.tick(99_000, None)
    assert policy.mode == "metered", "a closed socket tells nothing new"


def test_the_stages_of_a_budget_are_told_once_a_month() -> None:
    told: list[tuple[str, dict[str, Any]]] = []
    config = PolicyConfig(budget_mb_month=100, reserve_mb=10)
    policy = Policy(config, Traffic(1), on_event=lambda kind, data: told.append((kind, data)))
    policy.tick(0, NOON)
    assert (policy.stage, policy.may_send_all, policy.may_watch, policy.bundle_s) == ("all", True, True, 0)
    policy.count("live", up=60 * MB)
    policy.tick(1, NOON)
    assert (policy.stage, policy.may_send_all, policy.may_watch, policy.bundle_s) == ("tight", True, False, 300)
    policy.count("ack", down=30 * MB)
    policy.tick(2, NOON)
    assert (policy.stage, policy.may_send_all, policy.may_watch) == ("events_only", False, False)
    assert [kind for kind, _ in told] == ["budget_forecast_exceeded", "budget_reached"]
    assert told[1][1]["used_mb"] == 90
    policy.lift()
    assert (policy.stage, policy.view().is_lifted) == ("all", True)
    policy.tick(3, NOON + 40 * DAY_MS)
    assert (policy.view().used_bytes, policy.view().is_lifted) == (0, False)
    policy.count("live", up=95 * MB)
    policy.tick(4, NOON + 40 * DAY_MS)
    assert [kind for kind, _ in told][2:] == ["budget_reached"]


def test_without_a_clock_the_budget_still_holds() -> None:
    policy = Policy(PolicyConfig(budget_mb_month=100, reserve_mb=10), Traffic(1))
    policy.count("live", up=91 * MB)
    policy.tick(0, None)
    assert policy.stage == "events_only"
    assert (policy.view().forecast_bytes, policy.view().month_began) == (None, None)
    again = Policy(PolicyConfig(budget_mb_month=100, reserve_mb=10), Traffic(1, policy.to_keep()))
    again.tick(0, None)
    assert again.stage == "events_only"


def test_a_reserve_that_leaves_nothing_is_refused() -> None:
    with pytest.raises(msgspec.ValidationError, match="reserve_mb"):
        msgspec.convert({"budget_mb_month": 5}, PolicyConfig)
