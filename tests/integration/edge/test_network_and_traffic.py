"""The route as the kernel has it, and bytes by kind against what a counting proxy saw."""

import asyncio
import os
from pathlib import Path
import shutil
import socket
import struct
import subprocess
import sys

import pytest

from tests.integration.edge.test_uplink_over_nats import device
from tests.support.cloud_double import NatsCloud
from tests.support.nats_peer import NatsPeer
from tests.support.relay import Relay
from tests.support.waiting import until

_REPOSITORY = Path(__file__).parents[3]
_HEADER_BYTES = 52  # of a TCP segment over IPv4, with timestamps
_PATIENCE_S = 20
_TCP_INFO = 11
_NETWORK = """
set -e
ip link set lo up
ip link add wwan0 type veth peer name far0
ip address add 198.51.100.2/24 dev wwan0
ip -6 address add 2001:db8::2/64 dev wwan0 nodad
ip link set far0 up
ip link set wwan0 up
ip route add default via 198.51.100.1
ip -6 route add default via 2001:db8::1
exec "$0" -c 'import sys
from edge.uplink.network import interface_to, is_metered
for address in sys.argv[1:]:
    name = interface_to(address)
    print(address, name, name is not None and is_metered(name))' "$@"
"""


@pytest.mark.peer
@pytest.mark.skipif(os.geteuid() != 0, reason="a network namespace needs root")
@pytest.mark.skipif(not (shutil.which("ip") and shutil.which("unshare")), reason="ip and unshare are missing")
def test_a_modem_in_a_network_namespace_is_found_and_metered() -> None:
    addresses = ["198.51.100.9", "203.0.113.5", "2001:db8::9", "2a00:1450::1"]
    command = ["unshare", "-n", "sh", "-c", _NETWORK, sys.executable, *addresses, "127.0.0.1"]
    done = subprocess.run(command, cwd=_REPOSITORY, capture_output=True, text=True, timeout=_PATIENCE_S, check=False)
    assert done.returncode == 0, done.stderr
    assert done.stdout.splitlines() == [*(f"{one} wwan0 True" for one in addresses), "127.0.0.1 lo False"]


class CountingProxy(Relay):
    """Passes everything on and counts it."""

    up = down = 0

    async def pass_on(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, *, is_up: bool) -> None:
        while data := await reader.read(65_536):
            if is_up:
                self.up += len(data)
            else:
                self.down += len(data)
            writer.write(data)
            await writer.drain()


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux tells what a socket has cost")
def test_the_kinds_add_up_to_what_a_proxy_counted_and_the_headers_of_whole_segments(tmp_path: Path) -> None:
    async def scene() -> None:
        with NatsPeer(tmp_path / "nats") as broker:
            async with (
                NatsCloud(broker.url, "acme", "van-1"),
                CountingProxy(broker.port) as proxy,
                device(tmp_path, proxy.port) as van,
            ):
                for _ in range(4):
                    await van.commit(40)
                    await until(van.has_everything_acknowledged, 30, "acknowledgements")

                def headers() -> tuple[int, int]:
                    """What the kinds hold beyond the bytes of the streams and those that TCP had to send twice."""
                    kinds = van.uplink.policy.view().connection.values()
                    channel = van.uplink.policy._channel
                    assert channel is not None
                    (again,) = struct.unpack_from("=Q", channel.getsockopt(socket.IPPROTO_TCP, _TCP_INFO, 256), 208)
                    return sum(b.up for b in kinds) - proxy.up - again, sum(b.down for b in kinds) - proxy.down

                def are_whole_segments() -> bool:
                    return all(more > 0 and more % _HEADER_BYTES == 0 for more in headers())

                await until(are_whole_segments, 10, "a reading of the socket with nothing on the way")
                assert proxy.up > 160 * 200
                up, down = headers()
                assert max(up, down) < 4 * 400 * _HEADER_BYTES, "a few segments a frame"
                assert {"hello", "answer", "ack", "overhead"} <= van.uplink.policy.view().connection.keys()

    asyncio.run(scene())
