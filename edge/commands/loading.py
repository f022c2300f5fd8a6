"""Loads the configuration for a command."""

import os
from pathlib import Path

import msgspec

from edge.config import DEFAULT_PATH, DeviceConfig
from sync_protocol.config import load_config
from sync_protocol.errors import ConfigError


def load_file(path: Path | None) -> DeviceConfig:
    """The configuration as it is written, of a device that may not have come in yet."""
    if path is None and DEFAULT_PATH.exists():
        path = DEFAULT_PATH
    return load_config(DeviceConfig, path, os.environ)


def load(path: Path | None) -> DeviceConfig:
    """The configuration from `--config`, or the usual place, and the environment, as the device that has come in.

    `ConfigError` when it is wrong, or the device is nobody yet.
    """
    config = load_file(path)
    # Only where there is one is it read: that loads `cryptography`, which a demo's device does without.
    if not (Path(config.state_dir) / "identity.json").exists():
        if not config.tenant or not config.device:
            raise ConfigError(
                "this device is not enrolled: `milepost enroll` with what came with its claim code, "
                "or, in a demo, $.tenant and $.device"
            )
        return config
    from edge.identity import read_identity

    identity = read_identity(Path(config.state_dir))
    assert identity is not None
    if (config.tenant or identity.tenant, config.device or identity.device) != (identity.tenant, identity.device):
        raise ConfigError(
            f"$.tenant, $.device: this device is enrolled as {identity.tenant} / {identity.device}; leave both out"
        )
    uplink = msgspec.structs.replace(config.uplink, url=identity.nats_urls[0])
    return msgspec.structs.replace(config, tenant=identity.tenant, device=identity.device, uplink=uplink)
