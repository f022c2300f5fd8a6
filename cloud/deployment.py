"""What kind of service this is: a demo that trusts this machine, or a deployment with an identity of its own."""

from pathlib import Path
from urllib.parse import urlsplit

from cloud.config import CloudConfig
from cloud.http.guard import is_loopback
from sync_protocol.errors import ConfigError

KEYRING = Path("identity") / "keyring.json"


def check_deployment(config: CloudConfig) -> None:
    """`ConfigError` unless this is a demo on loopback only, or `milepost-cloud init` has made an identity."""
    check_demo(config)
    if not config.demo and not (config.data_dir / KEYRING).is_file():
        raise ConfigError(
            f"{config.data_dir}: no identity here. A deployment: run `milepost-cloud init` once. "
            "A demo, open to everybody on this machine: `milepost-cloud serve --demo`, or $.demo = true"
        )


def check_demo(config: CloudConfig) -> None:
    """`ConfigError` for a demo beyond loopback: whoever reaches its ports may do everything."""
    if not config.demo:
        return
    broker = config.nats.host if config.nats.url is None else urlsplit(config.nats.url).hostname or ""
    for where, host in (("$.listen.host", config.listen.host), ("$.nats", broker)):
        if not is_loopback(host):
            raise ConfigError(
                f"{where}: expected a loopback address such as 127.0.0.1, got {host!r}: "
                "a demo has no log-in and serves this machine only"
            )
