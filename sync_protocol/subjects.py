"""Every NATS subject and MQTT topic, built and parsed here only.

A device publishes on one subject and listens on one:

    f.<tenant>.<device>   up: frames and hellos
    d.<tenant>.<device>   down: Ack, HelloAnswer, Command

Subjects are short because a vehicle pays for every byte of them. MQTT topics are the same with `/` for `.`.
"""

import re

from sync_protocol.errors import Invalid

UP_ALL = "f.*.*"
STREAM = "FRAMES"
# What a device's token lets it publish and hear; the broker fills in tenant and name from the token.
DEVICE_UP = "f.{{tag(tenant)}}.{{name()}}"
DEVICE_DOWN = "d.{{tag(tenant)}}.{{name()}}"

_ID = re.compile(r"[a-z0-9][a-z0-9_-]{0,62}")


def checked_id(value: str, what: str) -> str:
    """Return `value` if it is a tenant or device id; a `*` or `.` in one would be a wildcard or another subject."""
    if not _ID.fullmatch(value):
        raise Invalid(f"{what} {value!r}: expected 1 to 63 of a-z 0-9 _ -, starting with a letter or digit")
    return value


def up(tenant: str, device: str) -> str:
    """Subject on which a device publishes its frames and hellos."""
    return f"f.{checked_id(tenant, 'tenant')}.{checked_id(device, 'device')}"


def down(tenant: str, device: str) -> str:
    """Subject on which a device hears from the cloud."""
    return f"d.{checked_id(tenant, 'tenant')}.{checked_id(device, 'device')}"


def parse_up(subject: str) -> tuple[str, str]:
    """Tenant and device of an up subject; `Invalid` for anything else."""
    parts = subject.split(".")
    if len(parts) != 3 or parts[0] != "f":
        raise Invalid(f"subject {subject!r}: expected f.<tenant>.<device>")
    return checked_id(parts[1], "tenant"), checked_id(parts[2], "device")


def parse_down(subject: str) -> tuple[str, str]:
    """Tenant and device of a down subject; `Invalid` for anything else."""
    parts = subject.split(".")
    if len(parts) != 3 or parts[0] != "d":
        raise Invalid(f"subject {subject!r}: expected d.<tenant>.<device>")
    return checked_id(parts[1], "tenant"), checked_id(parts[2], "device")


def topic(subject: str) -> str:
    """The MQTT topic that nats-server maps to this subject."""
    return subject.replace(".", "/")
