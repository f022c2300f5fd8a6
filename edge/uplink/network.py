"""Which network interface leads to the broker, and whether somebody pays for its bytes.

Read from `/proc/net` and `/sys/class/net`, so that it costs nothing to ask. A telephone's Wi-Fi looks like any other
and a VPN hides what is under it: `[uplink.policy] metered_interfaces` says so where the system cannot.
"""

from collections.abc import Iterator
from ipaddress import IPv4Address, IPv6Address, ip_address
from pathlib import Path
from typing import NamedTuple

_UP, _REJECT = 0x1, 0x200
_METERED_NAMES = ("wwan", "ppp", "rmnet", "usb")
_TETHERING_DRIVERS = ("rndis_host", "cdc_ether", "cdc_ncm", "cdc_mbim", "qmi_wwan", "ipheth")


class _Route(NamedTuple):
    prefix_bits: int
    metric: int
    interface: str


def interface_to(address: str, root: Path = Path("/")) -> str | None:
    """The interface of the best route to an IP address, None when there is none or the system does not tell."""
    try:
        ip = ip_address(address.partition("%")[0])
    except ValueError:
        return None
    if isinstance(ip, IPv6Address) and ip.ipv4_mapped is not None:
        ip = ip.ipv4_mapped
    if ip.is_loopback:
        return "lo"
    try:
        routes = list(_routes_4(ip, root) if isinstance(ip, IPv4Address) else _routes_6(ip, root))
    except (OSError, ValueError):
        return None
    best = min(routes, key=lambda route: (-route.prefix_bits, route.metric), default=None)
    return None if best is None else best.interface


def _routes_4(ip: IPv4Address, root: Path) -> Iterator[_Route]:
    for line in (root / "proc/net/route").read_text(encoding="ascii").splitlines()[1:]:
        words = line.split()
        flags, metric = int(words[3], 16), int(words[6])
        target, mask = (int.from_bytes(bytes.fromhex(word), "little") for word in (words[1], words[7]))
        if flags & _UP and not flags & _REJECT and int(ip) & mask == target:
            yield _Route(mask.bit_count(), metric, words[0])


def _routes_6(ip: IPv6Address, root: Path) -> Iterator[_Route]:
    for line in (root / "proc/net/ipv6_route").read_text(encoding="ascii").splitlines():
        words = line.split()
        bits, metric, flags = int(words[1], 16), int(words[5], 16), int(words[8], 16)
        is_inside = (int(ip) ^ int(words[0], 16)) >> (128 - bits) == 0
        if flags & _UP and not flags & _REJECT and is_inside:
            yield _Route(bits, metric, words[9])


def is_metered(interface: str, root: Path = Path("/")) -> bool:
    """Whether an interface is a modem or a tethered telephone, by its name, its type or its driver."""
    if interface.startswith(_METERED_NAMES):
        return True
    folder = root / "sys/class/net" / interface
    try:
        if "DEVTYPE=wwan" in (folder / "uevent").read_text(encoding="ascii", errors="replace").split():
            return True
    except OSError:
        return False
    return (folder / "device/driver").resolve().name in _TETHERING_DRIVERS
