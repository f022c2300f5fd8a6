"""Device time, and what the machine knows of itself and of UTC."""

import ctypes
from datetime import UTC, datetime
import hashlib
from pathlib import Path
import time
from typing import Protocol

from sync_protocol.messages import TimeAnchor

BUILT_UTC_MS = int(datetime(2026, 11, 1, tzinfo=UTC).timestamp() * 1000)
"""No clock that shows an earlier time than this software's release is believed."""

_TIMEX_BYTES = 256
_TIME_ERROR = 5
_NTP_UNCERTAINTY_MS = 100
_RTC_UNCERTAINTY_MS = 60_000
_GUESS_UNCERTAINTY_MS = 86_400_000 * 365


class Clock(Protocol):
    """Device time: milliseconds that pass evenly from the machine's start, asleep or awake, whatever UTC does."""

    def boot_ms(self) -> int:
        """CLOCK_BOOTTIME in milliseconds."""


class SystemClock:
    """The machine's clocks."""

    def boot_ms(self) -> int:
        """CLOCK_BOOTTIME in milliseconds."""
        return time.clock_gettime_ns(time.CLOCK_BOOTTIME) // 1_000_000

    def anchor(self) -> TimeAnchor:
        """What the system clock says UTC is. `ntp` when the kernel counts it as synchronised, else `rtc`, or `guess`
        where it shows a time before this software was made.
        """
        boot_ms, utc_ms = self.boot_ms(), time.time_ns() // 1_000_000
        if utc_ms < BUILT_UTC_MS:
            return TimeAnchor(boot_ms, utc_ms, "guess", _GUESS_UNCERTAINTY_MS)
        if is_synchronised():
            return TimeAnchor(boot_ms, utc_ms, "ntp", _NTP_UNCERTAINTY_MS)
        return TimeAnchor(boot_ms, utc_ms, "rtc", _RTC_UNCERTAINTY_MS)


def is_synchronised() -> bool:
    """Whether the kernel says that some time service disciplines the system clock."""
    libc = ctypes.CDLL(None)
    state = ctypes.create_string_buffer(_TIMEX_BYTES)
    return int(libc.adjtimex(state)) not in (-1, _TIME_ERROR)


def kernel_boot() -> str:
    """Differs from one start of the machine to the next."""
    return Path("/proc/sys/kernel/random/boot_id").read_text(encoding="ascii").strip()


def machine() -> str:
    """Fingerprint of this machine, stable over its starts; not the ids themselves, which are secrets.

    The hardware's number comes first: a cloned card carries the same machine-id into another computer.
    """
    for path in ("/proc/device-tree/serial-number", "/sys/class/dmi/id/product_uuid", "/etc/machine-id"):
        try:
            text = Path(path).read_text(encoding="utf-8", errors="replace").strip("\0\n ")
        except OSError:
            continue
        if text:
            return hashlib.sha256(b"milepost outbox " + text.encode()).hexdigest()[:32]
    return ""
