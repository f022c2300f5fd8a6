"""What kind of service this is: a demo that trusts this machine, or a deployment with an identity of its own."""

from pathlib import Path
from urllib.parse import urlsplit

from cloud.config import CloudConfig
from cloud.enrolment import keyring
from cloud.enrolment.keyring import Keyring
from cloud.http.guard import is_loopback
from cloud.http.listener import TlsFiles
from sync_protocol.errors import ConfigError

IDENTITY = Path("identity")


def check_deployment(config: CloudConfig) -> None:
    """`ConfigError` unless this is a demo on loopback only, or `milepost-cloud init` has made an identity."""
    check_demo(config)
    if config.demo:
        return
    if not (config.data_dir / IDENTITY / keyring.FACTS).is_file():
        raise ConfigError(
            f"{config.data_dir}: no identity here. A deployment: run `milepost-cloud init` once. "
            "A demo, open to everybody on this machine: `milepost-cloud serve --demo`, or $.demo = true"
        )
    if not config.listen.tls and not is_loopback(config.listen.host):
        raise ConfigError(
            f"$.listen.tls: expected true, because $.listen.host is {config.listen.host!r}: "
            "plain HTTP is for a proxy on this machine, in front of a loopback address"
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


def load_identity(config: CloudConfig) -> Keyring | None:
    """The deployment's identity; None in a demo, and where none was made (`check_deployment` refuses to serve then)."""
    folder = config.data_dir / IDENTITY
    return None if config.demo or not (folder / keyring.FACTS).is_file() else keyring.load(folder)


def server_files(config: CloudConfig) -> TlsFiles | None:
    """Certificate and key of the API; None where it speaks plain HTTP."""
    folder = config.data_dir / IDENTITY
    return (
        None if config.demo or not config.listen.tls else TlsFiles(folder / keyring.SERVER, folder / keyring.SERVER_KEY)
    )


def api_url(config: CloudConfig, port: int) -> str:
    """Where the API answers on this machine."""
    host, scheme = config.listen.host, "http" if server_files(config) is None else "https"
    return f"{scheme}://{f'[{host}]' if ':' in host else host}:{port}"


def known_hosts(config: CloudConfig) -> frozenset[str]:
    """Host names and addresses, beside those of loopback, under which people and devices may call the service."""
    ring = load_identity(config)
    outside = urlsplit(config.enrolment.api_url or "").hostname
    return frozenset([*(ring.facts.hosts if ring is not None else ()), *([outside] if outside else [])])


def outside_url(ring: Keyring | None, url: str) -> str:
    """An address of the service as others reach it: under the first host of its identity."""
    address = urlsplit(url)
    if ring is None:
        return url
    host = ring.facts.hosts[0]
    return f"{address.scheme}://{f'[{host}]' if ':' in host else host}:{address.port}"
