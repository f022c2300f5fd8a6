"""The interface to the broker, and whether it costs money, on file trees as Linux shows them."""

from pathlib import Path

import pytest

from edge.uplink.network import interface_to, is_metered

ROUTES_4 = """Iface\tDestination\tGateway \tFlags\tRefCnt\tUse\tMetric\tMask\t\tMTU\tWindow\tIRTT
wlan0\t00000000\t0101A8C0\t0003\t0\t0\t600\t00000000\t0\t0\t0
wwan0\t00000000\t01000A0A\t0003\t0\t0\t700\t00000000\t0\t0\t0
eth0\t0000000A\t00000000\t0001\t0\t0\t100\t000000FF\t0\t0\t0
eth1\t00000000\t00000000\t0002\t0\t0\t0\t00000000\t0\t0\t0
wlan0\t00A8A8C0\t00000000\t0001\t0\t0\t600\t00FFFFFF\t0\t0\t0
"""
_ZERO = 32 * "0"
ROUTES_6 = f"""20010db8000000000000000000000000 20 {_ZERO} 00 {_ZERO} 00000064 00000001 00000000 00000001     eth0
{_ZERO} 00 {_ZERO} 00 fe800000000000000000000000000001 00000400 00000001 00000000 00000003    wwan0
{_ZERO} 00 {_ZERO} 00 {_ZERO} ffffffff 00000001 00000000 00200200       lo
"""


@pytest.fixture
def root(tmp_path: Path) -> Path:
    net = tmp_path / "proc/net"
    net.mkdir(parents=True)
    (net / "route").write_text(ROUTES_4)
    (net / "ipv6_route").write_text(ROUTES_6)
    return tmp_path


@pytest.mark.parametrize(
    ("address", "interface"),
    [
        ("10.1.2.3", "eth0"),
        ("192.168.168.9", "wlan0"),
        ("203.0.113.7", "wlan0"),
        ("127.0.0.1", "lo"),
        ("::1", "lo"),
        ("2001:db8::7", "eth0"),
        ("2a00:1450::1", "wwan0"),
        ("fe80::1%eth0", "wwan0"),
        ("::ffff:10.1.2.3", "eth0"),
        ("broker.example", None),
    ],
)
def test_the_longest_prefix_wins_then_the_lowest_metric(root: Path, address: str, interface: str | None) -> None:
    assert interface_to(address, root) == interface


def test_a_system_that_does_not_tell(tmp_path: Path) -> None:
    assert interface_to("10.1.2.3", tmp_path) is None
    (tmp_path / "proc/net").mkdir(parents=True)
    (tmp_path / "proc/net/route").write_text("head\nwlan0\tnonsense\t0\t0003\t0\t0\t0\tzz\n")
    assert interface_to("10.1.2.3", tmp_path) is None


def interface(root: Path, name: str, uevent: str = "", driver: str | None = None) -> str:
    folder = root / "sys/class/net" / name
    folder.mkdir(parents=True)
    (folder / "uevent").write_text(uevent + f"INTERFACE={name}\n")
    if driver is not None:
        (root / "drivers" / driver).mkdir(parents=True)
        (folder / "device").mkdir()
        (folder / "device/driver").symlink_to(root / "drivers" / driver)
    return name


def test_modems_and_telephones_cost_money(tmp_path: Path) -> None:
    costs = [
        "wwan0", "ppp0", "usb0", interface(tmp_path, "wwx1", "DEVTYPE=wwan\n"),
        interface(tmp_path, "enx02", driver="rndis_host"), interface(tmp_path, "eth7", driver="ipheth"),
    ]  # fmt: skip
    free = [
        "gone0", interface(tmp_path, "wlan0", "DEVTYPE=wlan\n", "brcmfmac"), interface(tmp_path, "eth0"),
        interface(tmp_path, "enxb8", driver="r8152"),
    ]  # fmt: skip
    assert [is_metered(name, tmp_path) for name in costs] == [True] * 6
    assert [is_metered(name, tmp_path) for name in free] == [False] * 4
