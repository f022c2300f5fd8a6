"""The devices' account at the broker: told anew whenever somebody is locked out."""

from nats.aio.client import Client
from nats.errors import Error
import structlog

from sync_protocol.errors import Unavailable

_UPDATE = "$SYS.REQ.CLAIMS.UPDATE"
_PATIENCE_S = 10.0
log = structlog.get_logger()


async def push_account(client: Client, token: str) -> None:
    """Give the broker the account's new token; connections of revoked devices end. `client` is of the system account.

    `Unavailable` when the broker does not say that it has taken it.
    """
    try:
        answer = await client.request(_UPDATE, token.encode(), timeout=_PATIENCE_S)
    except (Error, TimeoutError, OSError) as err:
        raise Unavailable(f"the broker did not take the account: {err or 'no answer'}") from err
    if b'"code":200' not in answer.data.replace(b" ", b""):
        raise Unavailable(f"the broker refused the account: {answer.data[:200].decode(errors='replace')}")
