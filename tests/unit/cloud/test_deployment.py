"""A demo stays on this machine; anything else has an identity."""

from pathlib import Path

import pytest

from cloud.config import CloudConfig, ListenConfig, NatsConfig
from cloud.deployment import KEYRING, check_demo, check_deployment
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
    (tmp_path / KEYRING).parent.mkdir()
    (tmp_path / KEYRING).touch()
    check_deployment(config)
