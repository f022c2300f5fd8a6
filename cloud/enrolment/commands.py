"""Signs what goes down to devices as a command, in the one place where all commands pass."""

from collections.abc import Awaitable, Callable

import msgspec

from cloud.enrolment.keys import Key
from sync_protocol import subjects
from sync_protocol.messages import Command, command_to_sign, decode_down, encode_down

KEY_ID = 1
Publish = Callable[[str, bytes], Awaitable[bool]]
"""Sends down; False when the broker is away."""


class SignedCommands:
    """Stands before the broker. Every command gets a number that rises strictly, whoever repeats it, and a signature.

    The number that its sender gave it stays in `args`, for what shall be done once however often it is said.
    """

    def __init__(self, key: Key, publish: Publish, now_ms: Callable[[], int]) -> None:
        """`now_ms`: UTC, so that numbers go on rising over a restart."""
        self._key = key
        self._publish = publish
        self._now_ms = now_ms
        self._last_number = 0

    async def publish(self, subject: str, data: bytes) -> bool:
        """Send something down; a command is signed for the device of the subject. False: the broker is away."""
        message = decode_down(data)
        signed = encode_down(self.sign(subject, message)) if isinstance(message, Command) else data
        return await self._publish(subject, signed)

    def sign(self, subject: str, command: Command) -> Command:
        """The command as the device of a down subject obeys it."""
        tenant, device = subjects.parse_down(subject)
        self._last_number = max(self._last_number + 1, self._now_ms())
        args = {"number": command.number} | command.args
        unsigned = msgspec.structs.replace(command, number=self._last_number, args=args, key_id=KEY_ID)
        signature = self._key.sign(command_to_sign(unsigned, tenant, device))
        return msgspec.structs.replace(unsigned, signature=signature)
