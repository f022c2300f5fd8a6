"""Tells systemd that the agent is ready and alive."""

from collections.abc import Mapping
import socket


class SystemdNotifier:
    """Speaks sd_notify's protocol. Does nothing when the process was not started by systemd."""

    def __init__(self, environ: Mapping[str, str]) -> None:
        address = environ.get("NOTIFY_SOCKET", "")
        self._address = "\0" + address[1:] if address.startswith("@") else address
        self.watchdog_s: float | None = None
        """The longest silence that systemd tolerates; None: it does not watch."""
        usec = environ.get("WATCHDOG_USEC", "")
        if usec.isdigit() and int(usec) > 0:
            self.watchdog_s = int(usec) / 1e6

    def send(self, text: str) -> None:
        """Send e.g. `READY=1`, `WATCHDOG=1`, `STATUS=...`. A missing manager is no error."""
        if not self._address:
            return
        with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_CLOEXEC) as channel:
            try:
                channel.connect(self._address)
                channel.sendall(text.encode())
            except OSError:
                return
