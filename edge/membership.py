"""A device that is in: what it shows the broker, and how it stays in. Tokens are renewed at half of their life."""

import asyncio
from collections.abc import Callable
from pathlib import Path
import random

import structlog

from edge.enrolment import EnrolmentClient
from edge.identity import DeviceKey, Identity, read_identity, write_identity
from edge.uplink.tls import KnownTime
from sync_protocol.errors import Denied, MilepostError

_LOOK_EVERY_S = 1800.0
log = structlog.get_logger()


class Membership:
    """`edge.uplink.link.Credentials` of an enrolled device."""

    def __init__(self, state_dir: Path, identity: Identity) -> None:
        self._state_dir = state_dir
        self._identity = identity
        self._key = DeviceKey(identity.seed)

    @classmethod
    def open(cls, state_dir: str) -> "Membership | None":
        """None for a device that has not come in: one of a demo."""
        identity = read_identity(Path(state_dir))
        return None if identity is None else cls(Path(state_dir), identity)

    def token(self) -> bytes:
        """See `Credentials.token`."""
        return self._identity.token.encode()

    def answer(self, nonce: str) -> bytes:
        """See `Credentials.answer`."""
        return self._key.answer(nonce)

    @property
    def authority(self) -> str:
        """See `Credentials.authority`."""
        return self._identity.authority

    @property
    def command_keys(self) -> tuple[str, ...]:
        """Public keys of those who may give commands, in hexadecimal."""
        return self._identity.command_keys

    def is_due(self, known: KnownTime) -> bool:
        """Whether half of the token's life is over, as far as the device knows the time."""
        identity = self._identity
        return known.utc_ms > (identity.issued_utc_ms + identity.expires_utc_ms) // 2

    async def renew(self, known: KnownTime) -> None:
        """Get a new token and keep it. `Denied`: the device is locked out. `Unavailable`: not now."""
        client = EnrolmentClient(self._identity.api_url, self._identity.api_authority, known)
        answer = await asyncio.to_thread(client.renew, self._key)
        if (answer.tenant, answer.device) != (self._identity.tenant, self._identity.device):
            raise Denied("the cloud knows this device under another name: enroll it anew")
        self._identity = self._identity.renewed(answer)
        write_identity(self._state_dir, self._identity)
        log.info("token_renewed", expires_utc_ms=answer.expires_utc_ms)

    async def run(self, known: Callable[[], KnownTime]) -> None:
        """Renew in time, until cancelled. The next connection shows the new token; the broker ends this one in time."""
        while True:
            if self.is_due(known()):
                try:
                    await self.renew(known())
                except MilepostError as err:
                    log.warning("token_not_renewed", reason=str(err))
            await asyncio.sleep(_LOOK_EVERY_S * random.uniform(0.5, 1.5))
