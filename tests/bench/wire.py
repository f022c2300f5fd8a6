"""kB a vehicle-hour at the socket, over TLS 1.3: our link beside JSON over MQTT, the same samples, the same counting.

Real drives (27 signals at 1 Hz) with real GPS tracks beside them, frames as the device makes them, a real nats-server,
the link class of the device, acknowledgements gathered by the cloud's own class. Counted by the kernel (TCP_INFO): all
bytes of the connection both ways, and 40 or 52 bytes of headers for every segment, pure ACKs included.

An hour is played in less: messages follow each other after `_STEP_S`, longer than a delayed ACK, so that each travels
in segments of its own as in real time. What depends on time itself is played by the clock of the drive:
acknowledgements by the cloud's rule, the watch command every 20 s. Nothing pings, since no link is quiet for two
minutes. The handshake and the hello are counted by themselves and added once to the hour.
"""

import argparse
import asyncio
from collections.abc import Iterator, Sequence
import getpass
import itertools
import json
from pathlib import Path
import socket
import ssl
import struct
import subprocess
import sys
import tempfile
import time
from typing import NamedTuple

import nats
from nats.aio.client import Client

from cloud.facts import DeviceRef
from cloud.ingest.acks import Acked, Acks
from edge.uplink.config import UplinkConfig
from edge.uplink.link import NatsLink
from edge.uplink.tcp_info import WireBytes, wire_bytes
from sync_protocol import subjects
from sync_protocol.bundle import pack
from sync_protocol.codec import Group, encode
from sync_protocol.header import frame_crc
from sync_protocol.messages import Command, Hello, Meta, StreamState, TimeAnchor, encode_down, encode_hello
from sync_protocol.short import shorten
from sync_protocol.signals import catalogue
from tests.bench.report import Figure, report
from tests.support.authority import Authority
from tests.support.cloud_double import CloudDouble
from tests.support.nats_peer import NatsPeer, free_port
from tests.support.real_data import data_dir
from tests.support.recordings import carobd, nds
from tests.support.waiting import wait_until

STREAM = bytes(range(16))
VAN = DeviceRef(1, 1, "acme", "van-1")
UP, DOWN = subjects.up(VAN.tenant, VAN.name), subjects.down(VAN.tenant, VAN.name)
_STEP_S = 0.06
_WATCH_EVERY_S = 20
_ANCHOR_EVERY_S = 600
_BUNDLES_S = (60, 120, 300, 600, 900)
_GPS = {
    catalogue().by_name[name].id
    for name in ("lat_deg", "lon_deg", "altitude_m", "gps_speed_kmh", "heading_deg", "satellites_count", "hdop")
}


class Cost(NamedTuple):
    """Bytes of IP packets: once a connection, and for what was played, which took `played_s` of the drive."""

    opening: int
    playing: int
    played_s: int

    def kb_h(self) -> float:
        """kB an hour with one connection in it."""
        return (self.opening + self.playing * 3600 / self.played_s) / 1000


def drive(root: Path, rows: int, seconds: int) -> list[list[Group]]:
    """Frames of `rows` instants: OBD of drives that are not in the dictionary, GPS of other drives, one clock."""
    obd = (group for one in list(carobd(root))[::4] for group in one.frames(rows))
    gps = itertools.cycle([_only_gps(group) for one in list(nds(root))[:4] for group in one.frames(rows)])
    frames = []
    for number, (left, right) in enumerate(zip(obd, gps, strict=False)):
        begin_ms = 5_000_000 + number * rows * 1000
        frames.append([_at(left, begin_ms), _at(right, begin_ms + 130)])
    if len(frames) < seconds // rows:
        sys.exit(f"{len(frames)} frames of {rows} s in the recordings: too few for {seconds} s")
    return frames[: seconds // rows]


def _only_gps(group: Group) -> Group:
    at = [i for i, signal_id in enumerate(group.signal_ids) if signal_id in _GPS]
    return Group(tuple(group.signal_ids[i] for i in at), group.times_ms, group.values[at], group.present[at])


def _at(group: Group, begin_ms: int) -> Group:
    return group._replace(times_ms=group.times_ms - group.times_ms[0] + begin_ms)


def frames_of(drive_: Sequence[list[Group]], rows: int, *, compress: bool = True) -> Iterator[bytes]:
    """The frames of the drive as the device commits them, a time anchor every ten minutes."""
    for number, groups in enumerate(drive_):
        at_ms = int(groups[1].times_ms[0])
        is_anchored = number * rows % _ANCHOR_EVERY_S == 0
        anchors = (TimeAnchor(at_ms, 1_790_000_000_000 + at_ms, "gps", 50),) if is_anchored else ()
        yield encode(STREAM, number + 1, 1, groups, Meta(anchors=anchors), compress=compress)


def spent(channel: socket.socket) -> int:
    """Bytes of IP packets of a connection so far, both ways."""
    found = wire_bytes(channel)
    if not isinstance(found, WireBytes):
        sys.exit("this kernel does not count bytes for a socket (TCP_INFO)")
    return found.up + found.down


async def ours(
    broker: NatsPeer,
    ca_file: Path,
    rows: int,
    drive_: Sequence[list[Group]],
    *,
    is_watched: bool = False,
    pack_s: int = 0,
) -> Cost:
    """The device's link, acknowledgements gathered as the cloud does. `pack_s`: frames wait so long for each other."""
    double, acks = CloudDouble(), Acks(ack_frames=6, ack_delay_s=60.0)
    url = broker.url.replace("nats://", "tls://")
    cloud: Client = await nats.connect(url, tls=ssl.create_default_context(cafile=ca_file))
    link = await NatsLink.connect(UplinkConfig(url=url, ca_file=str(ca_file)), UP, DOWN, VAN.name)
    try:
        channel = link.channel()
        assert channel is not None
        hello = encode_hello(Hello("0.1.0", 1, 5_000_000, (StreamState(STREAM, True, 0),), vin="WVWZZZ1JZXW000001"))
        await link.publish(hello)
        await _down(cloud, link, double.receive(hello))
        opening = spent(channel)
        waiting: list[bytes] = []
        for number, frame in enumerate(frames_of(drive_, rows, compress=not pack_s), 1):
            now_s = number * rows
            waiting.append(frame)
            if len(waiting) * rows >= pack_s:
                await link.publish(pack(waiting) if pack_s else shorten(frame) or frame)
                await asyncio.sleep(_STEP_S)
                first = number + 1 - len(waiting)
                acks.add([Acked(VAN, STREAM, seq, frame_crc(one)) for seq, one in enumerate(waiting, first)], now_s)
                waiting.clear()
            await _down(cloud, link, [data for _, data in acks.due(now_s)])
            if is_watched and now_s % _WATCH_EVERY_S == 0:
                watch = Command(number, "watch", 1_790_000_000_000, {"lease_s": 60})
                await _down(cloud, link, [encode_down(watch)])
        return Cost(opening, spent(channel) - opening, len(drive_) * rows)
    finally:
        await link.close()
        await cloud.close()


async def _down(cloud: Client, link: NatsLink, messages: Sequence[bytes]) -> None:
    for data in messages:
        await cloud.publish(DOWN, data)
        await cloud.flush()
        await link.receive()
        await asyncio.sleep(_STEP_S)


class Mosquitto:
    """A broker with TLS on a free port, in a folder that holds `broker.pem` and `broker.key`."""

    def __init__(self, folder: Path) -> None:
        self.port = free_port()
        config = folder / "mosquitto.conf"
        config.write_text(
            f"listener {self.port} 127.0.0.1\nallow_anonymous true\ncafile {folder}/ca.pem\n"
            f"certfile {folder}/broker.pem\nkeyfile {folder}/broker.key\ntls_version tlsv1.3\npersistence false\n"
            f"user {getpass.getuser()}\n"  # who may read the folder
        )
        with (folder / "mosquitto.log").open("wb") as log:
            self._process = subprocess.Popen(["mosquitto", "-c", config], stdout=log, stderr=log)
        wait_until(self._listens, 10, "mosquitto")

    def _listens(self) -> bool:
        try:
            socket.create_connection(("127.0.0.1", self.port), timeout=0.5).close()
        except OSError:
            return False
        return True

    def stop(self) -> None:
        self._process.terminate()
        self._process.wait(10)


def mqtt_json(port: int, ca_file: Path, rows: int, messages: Sequence[bytes]) -> Cost:
    """MQTT 3.1.1, QoS 1, one JSON text a message, every message acknowledged, in one connection."""
    context = ssl.create_default_context(cafile=ca_file)
    plain = socket.create_connection(("127.0.0.1", port))
    plain.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    with context.wrap_socket(plain, server_hostname="127.0.0.1") as channel:
        channel.sendall(_packet(0x10, b"\0\4MQTT\4\2\0\x3c" + _text(VAN.name)))
        channel.recv(64)  # CONNACK
        opening = spent(channel)
        for number, message in enumerate(messages, 1):
            topic = _text(f"vehicles/{VAN.name}/telemetry")
            channel.sendall(_packet(0x32, topic + struct.pack(">H", number) + message))
            channel.recv(64)  # PUBACK
            time.sleep(_STEP_S)
        return Cost(opening, spent(channel) - opening, len(messages) * rows)


def _packet(kind: int, body: bytes) -> bytes:
    length, rest = b"", len(body)
    while True:
        rest, low = rest >> 7, rest & 0x7F
        length += bytes([low | (0x80 if rest else 0)])
        if not rest:
            return bytes([kind]) + length + body


def _text(text: str) -> bytes:
    return struct.pack(">H", len(text)) + text.encode()


def json_of(groups: Sequence[Group]) -> bytes:
    """The same samples as anyone would write them: one object an instant, in the catalogue's units."""
    rows: dict[int, dict[str, float]] = {}
    for group in groups:
        signals = [catalogue().by_id[i] for i in group.signal_ids]
        for column, at_ms in enumerate(group.times_ms):
            row = rows.setdefault(int(at_ms) // 1000, {"t": int(at_ms)})
            for line, signal in enumerate(signals):
                if group.present[line, column]:
                    row[signal.name] = round(signal.value(int(group.values[line, column])), 7)
    texts = list(rows.values())
    return json.dumps(texts[0] if len(texts) == 1 else texts, separators=(",", ":")).encode()


async def measure(root: Path, folder: Path, seconds: int) -> list[Figure]:
    """All figures; `seconds` of the drive for 10-s frames, a sixth of it for those of 1 s."""
    authority = Authority(folder)
    tens, ones = drive(root, 10, seconds), drive(root, 1, seconds // 6)
    with NatsPeer(folder / "nats", extra=authority.nats_tls(2000, 2100)) as broker:
        normal = await ours(broker, authority.ca_file, 10, tens)
        watched = await ours(broker, authority.ca_file, 1, ones, is_watched=True)
        metered = {pack_s: await ours(broker, authority.ca_file, 10, tens, pack_s=pack_s) for pack_s in _BUNDLES_S}
    mosquitto = Mosquitto(folder)
    try:
        costs = []
        for rows, frames in ((10, tens), (1, ones)):
            texts = [json_of(groups) for groups in frames]
            costs.append(await asyncio.to_thread(mqtt_json, mosquitto.port, authority.ca_file, rows, texts))
    finally:
        mosquitto.stop()
    json_10, json_1 = costs
    samples = sum(int(group.present.sum()) for groups in tens for group in groups)
    payload = sum(map(len, frames_of(tens, 10))) * 3600 / seconds / 1000
    return [
        Figure("normal_kb_h", normal.kb_h(), "kB/h", "155", f"frames of 10 s; {payload:.1f} of it are the frames"),
        Figure("watched_kb_h", watched.kb_h(), "kB/h", "930", "frames of 1 s"),
        Figure("metered_kb_h", metered[60].kb_h(), "kB/h", "85", "bundles of a minute"),
        *(Figure(f"  bundles of {s} s", metered[s].kb_h(), "kB/h") for s in _BUNDLES_S[1:]),
        Figure("opening_kb", normal.opening / 1000, "kB", "", "TCP and TLS handshake, CONNECT, hello and its answer"),
        Figure("samples_per_s", samples / seconds, "1/s"),
        Figure("  JSON over MQTT, 1 s", json_1.kb_h(), "kB/h", "", f"{json_1.kb_h() / watched.kb_h():.1f} times ours"),
        Figure(
            "  JSON over MQTT, 10 s", json_10.kb_h(), "kB/h", "", f"{json_10.kb_h() / normal.kb_h():.1f} times ours"
        ),
        Figure("  MQTT opening", json_10.opening / 1000, "kB"),
    ]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seconds", type=int, default=3600, help="of the drive, for frames of 10 s")
    arguments = parser.parse_args()
    root = data_dir()
    if root is None:
        sys.exit("no real recordings: set MILEPOST_DATA")
    with tempfile.TemporaryDirectory() as name:
        figures = asyncio.run(measure(root, Path(name), arguments.seconds))
    report("wire", figures, {"seconds": arguments.seconds, "source": "carOBD every fourth drive, 27 PIDs; GPS of NDS"})


if __name__ == "__main__":
    main()
