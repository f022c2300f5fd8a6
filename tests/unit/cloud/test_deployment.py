"""A demo stays on this machine; anything else has an identity."""

from datetime import UTC, datetime
from pathlib import Path

import pytest

from cloud.config import CloudConfig, ListenConfig, NatsConfig
from cloud.deployment import IDENTITY, check_demo, check_deployment, load_identity, outside_url
from cloud.enrolment.keyring import make
from sync_protocol.errors import ConfigError


@pytest.mark.parametrize(
    ("listen", "nats", "where"),
    [
        (ListenConfig(host="0.0.0.0"), NatsConfig(), r"\$\.listen\.host"),
        (ListenConfig(), NatsConfig(host="::"), r"\$\.nats"),
        (ListenConfig(), NatsConfig(url="nats://broker.example:4222"), r"\$\.nats"),
    ],
)
def test_a_demo_beyond_loopback_is_refused(listen: ListenConfig, nats: NatsConfig, where: str) -> None:
    with pytest.raises(ConfigError, match=where + ": expected a loopback address"):
        check_deployment(CloudConfig(demo=True, listen=listen, nats=nats))
    check_demo(CloudConfig(listen=listen, nats=nats))


def test_a_demo_on_loopback_needs_no_identity() -> None:
    check_deployment(CloudConfig(demo=True, nats=NatsConfig(url="nats://127.0.0.1:4222")))


def test_a_deployment_needs_an_identity(tmp_path: Path) -> None:
    config = CloudConfig(data_dir=tmp_path)
    with pytest.raises(ConfigError, match="run `milepost-cloud init` once"):
        check_deployment(config)
    assert load_identity(config) is None
    facts = make(tmp_path / IDENTITY, ["fleet.example", "::1"], datetime.now(UTC))
    check_deployment(config)
    ring = load_identity(config)
    assert ring is not None
    assert ring.facts == facts
    assert outside_url(ring, "https://0.0.0.0:8443") == "https://fleet.example:8443"
    assert load_identity(CloudConfig(data_dir=tmp_path, demo=True)) is None


def test_plain_http_is_for_a_proxy_on_this_machine(tmp_path: Path) -> None:
    make(tmp_path / IDENTITY, ["localhost"], datetime.now(UTC))
    check_deployment(CloudConfig(data_dir=tmp_path, listen=ListenConfig(tls=False)))
    with pytest.raises(ConfigError, match=r"\$\.listen\.tls: expected true"):
        check_deployment(CloudConfig(data_dir=tmp_path, listen=ListenConfig(host="0.0.0.0", tls=False)))
