"""What was learned of adapter and vehicle, kept over restarts in one small file, so that connecting is quick."""

import asyncio
from pathlib import Path

import msgspec
import structlog

log = structlog.get_logger(__name__)


class Calibration(msgspec.Struct, frozen=True):
    """Software of one computer: calibration ids and verification numbers, as it tells them."""

    ids: tuple[str, ...] = ()
    cvns: tuple[str, ...] = ()


class Memory(msgspec.Struct, kw_only=True):
    """None means not tried yet. Trouble codes are by status, then by address of the computer in hexadecimal."""

    baud: int = 0
    adapter: str = ""
    protocol: str = ""
    has_multi_pid: bool | None = None
    has_frame_count: bool | None = None
    vin: str = ""
    profile: str = ""
    dtcs: dict[str, dict[str, tuple[str, ...]]] = {}
    calibrations: dict[str, Calibration] = {}
    monitor_bits: int | None = None

    def know_adapter(self, identity: str) -> None:
        """Forget the abilities of another adapter."""
        if identity != self.adapter:
            self.adapter = identity
            self.has_multi_pid = None
            self.has_frame_count = None

    def know_vehicle(self, vin: str) -> bool:
        """Forget what belongs to another vehicle. Whether the vehicle is another one than before."""
        if vin == self.vin:
            return False
        if self.vin:
            self.dtcs = {}
            self.calibrations = {}
            self.monitor_bits = None
        self.vin = vin
        return True


class MemoryFile:
    """Loads and saves a `Memory`. A missing or damaged file is a fresh start: everything in it can be learned again."""

    def __init__(self, path: str | None) -> None:
        self._path = None if path is None else Path(path)
        self._saved = b""

    def load(self) -> Memory:
        """The memory of the last run, or an empty one."""
        if self._path is None:
            return Memory()
        try:
            self._saved = self._path.read_bytes()
            return msgspec.json.decode(self._saved, type=Memory)
        except FileNotFoundError:
            return Memory()
        except (OSError, msgspec.DecodeError, UnicodeDecodeError) as err:
            log.warning("obd_memory_unreadable", path=str(self._path), reason=str(err))
            return Memory()

    async def save(self, memory: Memory) -> None:
        """Write when something changed; a card that cannot be written costs the memory, not the measuring."""
        data = msgspec.json.encode(memory)
        if self._path is None or data == self._saved:
            return
        try:
            await asyncio.to_thread(_replace, self._path, data)
        except OSError as err:
            log.warning("obd_memory_unwritable", path=str(self._path), reason=str(err))
        else:
            self._saved = data


def _replace(path: Path, data: bytes) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    fresh = path.with_name(path.name + ".new")
    fresh.write_bytes(data)
    fresh.replace(path)
