"""Goes along the way the data takes, link by link, and says in plain words what is wrong and what mends it."""

from collections.abc import Callable, Iterator
import os
from pathlib import Path
import shutil
import socket
from typing import Literal
from urllib.parse import urlsplit

import msgspec

from edge.config import DeviceConfig
from edge.sensors.base import SensorState
from edge.status import AgentStatus

Verdict = Literal["good", "warning", "bad", "skipped"]
Reach = Callable[[str, int], str | None]
"""Tries to open a TCP connection to (host, port); None when it worked, else why not."""

_WEAK_V = 11.8
_RUNNING_V = 13.2
_ACK_LATE_S = 120.0
_STARTING_S = 30.0


class Finding(msgspec.Struct, frozen=True):
    """One link of the chain: what was found, and what a person should do about it."""

    link: str
    verdict: Verdict
    found: str
    cure: str = ""


def diagnose(config: DeviceConfig, status: AgentStatus | None, reach: Reach | None = None) -> list[Finding]:
    """Every link from the adapter to the acknowledged frame. `status` None: the agent is not running."""
    reach = reach or reach_tcp
    findings = [_agent(status), _storage(config, status)]
    findings += _vehicle(config, status)
    findings += _position(config, status, reach)
    if status is not None:
        findings += [_sampling(status), _outbox(status)]
    findings += _cloud(config, status, reach)
    return findings


def reach_tcp(host: str, port: int) -> str | None:
    """See `Reach`."""
    try:
        with socket.create_connection((host, port), timeout=5):
            return None
    except OSError as err:
        return err.strerror or str(err)


def _agent(status: AgentStatus | None) -> Finding:
    if status is None:
        return Finding("agent", "bad", "it is not running", "systemctl start milepost; then journalctl -u milepost.")
    return Finding("agent", "good", f"version {status.version}, {status.memory_mb:.0f} MB")


def _storage(config: DeviceConfig, status: AgentStatus | None) -> Finding:
    folder = Path(config.state_dir)
    if status is not None and status.storage_trouble is not None:
        found = f"{status.storage_trouble}; working in memory: what is not sent is lost with the power"
        return Finding("storage", "bad", found, _STORAGE_CURE)
    if status is not None:
        return Finding("storage", "good", f"the outbox lies in {folder}")
    if not folder.is_dir():
        return Finding("storage", "bad", f"{folder} is no folder", "Make it, for the user that the agent runs as.")
    if os.statvfs(folder).f_flag & os.ST_RDONLY:
        return Finding("storage", "bad", f"{folder} is mounted read-only", _STORAGE_CURE)
    if shutil.disk_usage(folder).free < config.outbox.ballast_kb * 1024:
        return Finding("storage", "bad", f"{folder} is full", "Free space: df -h.")
    return Finding("storage", "good", f"{folder} is there, with room")


_STORAGE_CURE = (
    "df -h; mount; dmesg | tail: a card that fails turns read-only, replace it. The agent returns to it by itself."
)


def _vehicle(config: DeviceConfig, status: AgentStatus | None) -> Iterator[Finding]:
    if not config.obd.enabled or config.replay is not None:
        yield Finding("adapter", "skipped", "OBD is switched off in the configuration")
        return
    state = status.sensors.get("obd") if status else None
    if state is None:
        yield _port(config.obd.port)
        return
    yield _adapter(config.obd.port, state)
    if state.facts.get("adapter") is None and state.link == "failing":
        return
    yield _ignition(state)
    if state.link == "open":
        yield Finding("engine computer", "good", f"{state.facts.get('protocol')}, {state.facts.get('signals')} signals")
    elif state.link == "closed":
        yield Finding("engine computer", "warning", f"asleep: {state.detail}", "Switch the ignition on and look again.")
    else:
        yield Finding(
            "engine computer",
            "warning" if state.link == "opening" else "bad",
            state.detail,
            "Switch the ignition on; press the adapter home; other devices on the connector must be off.",
        )


def _port(port: str) -> Finding:
    if port.startswith("socket://") or Path(port).exists():
        return Finding("adapter", "good", f"{port} is there")
    return Finding(
        "adapter", "bad", f"{port} is not there", "Plug the adapter in; see `ls -l /dev/serial/by-id` and [obd] port."
    )


def _adapter(port: str, state: SensorState) -> Finding:
    adapter = state.facts.get("adapter")
    if state.link == "failing":
        missing = _port(port)
        cure = missing.cure or "Unplug the adapter and plug it in again; another program may hold the port (fuser -v)."
        return Finding("adapter", "bad", state.detail, cure)
    return Finding("adapter", "good", f"{adapter or 'answers'} at {port}")


def _ignition(state: SensorState) -> Finding:
    volts = state.facts.get("battery_v")
    if not isinstance(volts, int | float):
        return Finding("ignition", "warning", "supply voltage not read yet")
    if volts < _WEAK_V:
        return Finding("ignition", "warning", f"{volts:.1f} V: the battery is weak", "Charge or test the battery.")
    running = "the engine runs" if volts >= _RUNNING_V else "the engine is off or the alternator does not charge"
    return Finding("ignition", "good", f"{volts:.1f} V: {running}")


def _position(config: DeviceConfig, status: AgentStatus | None, reach: Reach) -> Iterator[Finding]:
    if not config.gps.enabled or config.replay is not None:
        yield Finding("position", "skipped", "GPS is switched off in the configuration")
        return
    state = status.sensors.get("gps") if status else None
    if state is None:
        reason = reach(config.gps.host, config.gps.port)
        if reason is None:
            yield Finding("position", "good", f"gpsd answers at {config.gps.host}:{config.gps.port}")
        else:
            yield Finding("position", "bad", f"gpsd at {config.gps.host}:{config.gps.port}: {reason}", _GPSD_CURE)
    elif state.link == "open":
        yield Finding("position", "good", state.detail or "a fix")
    elif state.link == "failing":
        yield Finding("position", "bad", state.detail, _GPSD_CURE)
    else:
        cure = "Give the antenna a view of the sky; the first fix can take a few minutes."
        yield Finding("position", "warning", state.detail or "no fix yet", cure)


_GPSD_CURE = "systemctl status gpsd; check DEVICES in /etc/default/gpsd, and cgps for what the receiver says."


def _sampling(status: AgentStatus) -> Finding:
    health = status.sampling
    dropped = sum(health.dropped.values())
    if not health.received:
        return Finding("sampling", "warning", "no sample yet", "Mend what is above first.")
    if not health.is_balanced:
        return Finding("sampling", "bad", "samples are not accounted for", "A bug: please report it with this output.")
    return Finding("sampling", "good", f"{health.received} samples of {status.signals} signals, {dropped} dropped")


def _outbox(status: AgentStatus) -> Finding:
    frames, health = status.frames, status.outbox
    text = f"{frames.committed} frames committed, {frames.pending} pending, {frames.lost} lost"
    if health.queued > 1 or health.dropped:
        return Finding("outbox", "bad", f"{text}; {health.queued} wait: the disk is full", "Free space: df -h.")
    if frames.lost:
        return Finding("outbox", "warning", text, "Why: milepost sync. A larger [outbox] size_mb keeps more.")
    if frames.forked:
        cure = "This card was copied, or an old image restored: enrol each device by itself."
        return Finding("outbox", "warning", f"{text}, {frames.forked} forked", cure)
    return Finding("outbox", "good", text)


def _cloud(config: DeviceConfig, status: AgentStatus | None, reach: Reach) -> Iterator[Finding]:
    if not config.uplink.enabled:
        yield Finding("network", "skipped", "the uplink is switched off in the configuration")
        return
    url = urlsplit(config.uplink.url)
    host, port = url.hostname or "", url.port or 4222
    reason = reach(host, port)
    if reason is not None:
        cure = "Check the modem: ip addr, ping 1.1.1.1, and the name in [uplink] url."
        yield Finding("network", "bad", f"{host}:{port}: {reason}", cure)
        return
    yield Finding("network", "good", f"{host}:{port} answers")
    if status is None:
        return
    link = status.link
    if link.link != "connected":
        cure = "The device's credentials are wrong or revoked: enrol it again." if link.link == "refused" else (
            "Something answers, but not as our broker does; check [uplink] url.")  # fmt: skip
        yield Finding("broker", "bad", f"{link.link}: {link.detail}", cure)
        return
    yield Finding("broker", "good", f"connected for {(status.boot_ms - link.since_ms) / 1000:.0f} s")
    yield _acknowledged(status)


def _acknowledged(status: AgentStatus) -> Finding:
    link = status.link
    if not status.frames.pending:
        return Finding("acknowledged frame", "good", "the cloud has everything")
    if status.traffic is not None and status.traffic.stage == "events_only":
        cure = "Only frames with events are sent until the SIM's next month; milepost sync --lift-budget sends all."
        return Finding("acknowledged frame", "warning", f"budget used up: {status.frames.pending} frames wait", cure)
    last_ms = max(link.last_ack_ms, link.last_answer_ms, link.since_ms)
    waited_s = (status.boot_ms - last_ms) / 1000
    if waited_s > _ACK_LATE_S or (not link.last_answer_ms and waited_s > _STARTING_S):
        cure = "The broker is there, the cloud behind it is not: nothing is lost, ask the operator of the server."
        return Finding("acknowledged frame", "bad", f"none for {waited_s:.0f} s, {status.frames.pending} pending", cure)
    return Finding("acknowledged frame", "good", f"{status.frames.acked} acknowledged, {status.frames.pending} pending")
