"""Loads the configuration for a command."""

import os
from pathlib import Path

from edge.config import DEFAULT_PATH, DeviceConfig
from sync_protocol.config import load_config


def load(path: Path | None) -> DeviceConfig:
    """The configuration from `--config`, or the usual place, and the environment. `ConfigError` when it is wrong."""
    if path is None and DEFAULT_PATH.exists():
        path = DEFAULT_PATH
    return load_config(DeviceConfig, path, os.environ)
