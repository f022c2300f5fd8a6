"""Commands to an enrolled device: only those that the cloud has signed, for this device, and each once."""

from collections.abc import Sequence

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

from edge.outbox.worker import OutboxWorker
from sync_protocol.errors import ConfigError, Full
from sync_protocol.messages import Command, command_to_sign

NUMBER_KEY = "command_number"


class SignedOrders:
    """`edge.uplink.uplink.Refusal` of a device that has pinned the cloud's keys.

    The highest number is on the disk before a command is obeyed: whoever records what came down cannot say it again.
    """

    def __init__(self, tenant: str, device: str, keys: Sequence[str], outbox: OutboxWorker) -> None:
        """`keys`: Ed25519 in hexadecimal, numbered from 1."""
        self._tenant = tenant
        self._device = device
        self._outbox = outbox
        try:
            self._keys = [Ed25519PublicKey.from_public_bytes(bytes.fromhex(key)) for key in keys]
        except ValueError as err:
            raise ConfigError(f"identity: the keys of commands are no good: {err}") from err

    async def refusal(self, command: Command) -> str | None:
        """Why a command is not obeyed, None when it is. Its number is used up then."""
        if not 1 <= command.key_id <= len(self._keys):
            return "unsigned"
        try:
            self._keys[command.key_id - 1].verify(
                command.signature, command_to_sign(command, self._tenant, self._device)
            )
        except InvalidSignature:
            return "forged"
        try:
            is_new = await self._outbox.call(lambda outbox: outbox.raise_kept(NUMBER_KEY, command.number))
        except Full:
            return "disk_full"
        return None if is_new else "repeated"
