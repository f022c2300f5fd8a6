"""WebSocket: live vehicles, a snapshot and then changes, always the freshest state. The hub decides what is fresh."""

import asyncio
from datetime import UTC, datetime
from typing import Any, Literal, NamedTuple

from litestar import WebSocket, websocket
from litestar.di import NamedDependency
from litestar.exceptions import WebSocketDisconnect
import msgspec

from cloud.http.access import SUBPROTOCOL
from cloud.identity.policy import Action, Principal
from cloud.live.hub import LiveHub, LiveMessage, LiveVehicle

BAD_QUERY, ENDED = 4400, 4401


class LiveAccess(NamedTuple):
    """The hub, and who looks: the vehicles of the own tenant, until the session ends."""

    hub: LiveHub
    principal: Principal


class LiveNews(msgspec.Struct, frozen=True):
    """What a client is sent: `snapshot` with every vehicle and all values, then `changes` with those that changed."""

    type: Literal["snapshot", "changes"]
    at: datetime
    vehicles: list[LiveVehicle]


PING = b'{"type":"ping"}'


@websocket("/live", action=Action.READ_FLEET)
async def live(socket: WebSocket[Any, Any, Any], live_access: NamedDependency[LiveAccess]) -> None:
    """Live vehicles; `?vehicles=1,2` narrows it to these. Closed with 4401 once the session has ended."""
    offered = socket.headers.get("sec-websocket-protocol", "")
    await socket.accept(SUBPROTOCOL if SUBPROTOCOL in offered.replace(" ", "").split(",") else None)
    try:
        wanted = _wanted(socket.query_params.get("vehicles"))
    except ValueError:
        await socket.close(BAD_QUERY, "vehicles: expected ids separated by commas")
        return
    principal = live_access.principal
    gone = asyncio.create_task(_until_gone(socket))
    ended = asyncio.create_task(principal.ended.wait())
    try:
        with live_access.hub.client(principal.tenant_id, wanted) as client:
            while not gone.done():
                coming = asyncio.create_task(client.next())
                await asyncio.wait((gone, ended, coming), return_when=asyncio.FIRST_COMPLETED)
                if ended.done() or not coming.done():
                    coming.cancel()
                    break
                # Waits while the client's buffer is full; what happens meanwhile is one change later on.
                await socket.send_data(_encode(coming.result()), mode="text")
        if ended.done() and not gone.done():
            await socket.close(ENDED, "the session has ended")
    except WebSocketDisconnect:
        pass
    finally:
        gone.cancel()
        ended.cancel()


def _wanted(text: str | None) -> frozenset[int] | None:
    return None if text is None else frozenset(int(part) for part in text.split(",") if part.strip())


async def _until_gone(socket: WebSocket[Any, Any, Any]) -> None:
    """Read and forget what the client says, until it goes."""
    try:
        while True:
            await socket.receive_data(mode="text")
    except WebSocketDisconnect:
        return


def _encode(message: LiveMessage) -> bytes:
    if message.type == "ping":
        return PING
    at = datetime.fromtimestamp(message.at_ms / 1000, UTC)
    return msgspec.json.encode(LiveNews(message.type, at, message.vehicles))


ROUTES = [live]
