"""The service's seat in the system account: locks devices out, and sees connections come and go."""

import asyncio
from collections.abc import Callable
import contextlib
import json

from nats.aio.client import Client
from nats.aio.msg import Msg
from nats.errors import Error
import structlog

from cloud.enrolment.connections import Connections, Look, read_connz, read_event
from sync_protocol.errors import Unavailable

_PATIENCE_S = 10.0
_RETRY_S = 2.0
_LOOK_EVERY_S = 5.0
_PAGE = 1024
log = structlog.get_logger()


class SystemLink:
    """One connection of the system account. `push` whenever the account of the devices has changed."""

    def __init__(self, account: str, token: Callable[[], str], on_clone: Callable[[str], None]) -> None:
        """`token` makes the account's token as it stands; `on_clone` is told the public key of a doubled device."""
        self._account = account
        self._token = token
        self._on_clone = on_clone
        self._client: Client | None = None
        self._is_dirty = asyncio.Event()
        self.connections = Connections()

    async def run(self, client: Client) -> None:
        """Listen, and push again what the broker has not taken. Runs until cancelled, then closes the connection."""
        self._client = client
        self._is_dirty.set()
        try:
            for word in ("CONNECT", "DISCONNECT"):
                await client.subscribe(f"$SYS.ACCOUNT.{self._account}.{word}", cb=self._on_event)
            async with asyncio.TaskGroup() as group:
                group.create_task(self._watch())
                group.create_task(self._push_again())
        finally:
            self._client = None
            with contextlib.suppress(Error, OSError, TimeoutError):
                await client.close()

    async def push(self) -> None:
        """Give the broker the account's token: connections of revoked devices end now.

        `Unavailable` when the broker has not said that it took it; it is tried again until it does.
        """
        self._is_dirty.set()
        if self._client is None:
            raise Unavailable("the broker cannot be reached; it is told as soon as it can")
        await push_account(self._client, self._token())
        self._is_dirty.clear()

    async def _push_again(self) -> None:
        """Also at the start and after each loss: a broker that is not our child knows an older account, or none."""
        wait_s = 0.0
        while True:
            await self._is_dirty.wait()
            await asyncio.sleep(wait_s)
            wait_s = _RETRY_S
            if self._is_dirty.is_set():
                try:
                    await self.push()
                except Unavailable as err:
                    log.warning("account_not_pushed", reason=str(err), retry_s=_RETRY_S)

    async def _on_event(self, message: Msg) -> None:
        event = read_event(message.data)
        if event is not None:
            self.connections.note(*event)

    async def _watch(self) -> None:
        """What came and went while nobody listened is asked for; then only those that are doubled are looked at."""
        assert self._client is not None
        reconnects = -1
        while True:
            try:
                if self._client.is_connected and self._client.stats["reconnects"] != reconnects:
                    now = self._client.stats["reconnects"]
                    self.connections.reset(await self._ask_all())
                    if reconnects >= 0:
                        self._is_dirty.set()
                    reconnects = now
                for user in self.connections.doubled():
                    looks = [look for cid in self.connections.of(user) for look in await self._ask(cid=cid)]
                    if self.connections.look(user, looks):
                        self._on_clone(user)
            except (Error, TimeoutError, OSError) as err:
                log.warning("connections_not_seen", reason=str(err) or type(err).__name__)
            await asyncio.sleep(_LOOK_EVERY_S)

    async def _ask_all(self) -> list[Look]:
        found: list[Look] = []
        while page := await self._ask(offset=len(found), limit=_PAGE):
            found += page
            if len(page) < _PAGE:
                break
        return found

    async def _ask(self, **options: int) -> list[Look]:
        assert self._client is not None
        body = json.dumps({"auth": True, **options}).encode()
        subject = f"$SYS.REQ.ACCOUNT.{self._account}.CONNZ"
        return read_connz((await self._client.request(subject, body, timeout=_PATIENCE_S)).data)


async def push_account(client: Client, token: str) -> None:
    """Give the broker an account's new token; `client` is of the system account.

    `Unavailable` when the broker does not say that it has taken it.
    """
    try:
        answer = await client.request("$SYS.REQ.CLAIMS.UPDATE", token.encode(), timeout=_PATIENCE_S)
    except (Error, TimeoutError, OSError) as err:
        raise Unavailable(f"the broker did not take the account: {err or 'no answer'}") from err
    if b'"code":200' not in answer.data.replace(b" ", b""):
        raise Unavailable(f"the broker refused the account: {answer.data[:200].decode(errors='replace')}")
