"""A network adapter whose connection is reset in the middle of an answer, and that comes back."""

import asyncio
import socket
import struct
import threading
import time

import pytest

from edge.sensors.obd.errors import AdapterLost
from edge.sensors.obd.port import Port

_RESET = struct.pack("ii", 1, 0)  # SO_LINGER of no time: closing sends RST, not FIN


def test_a_connection_reset_in_mid_answer_is_a_lost_adapter_at_once_and_can_be_opened_again() -> None:
    def serve(listener: socket.socket) -> None:
        for is_good in (False, True):
            connection, _ = listener.accept()
            while b"\r" not in connection.recv(100):
                pass
            connection.sendall(b"41 0C 1A F8\r\r>" if is_good else b"41 0C")
            if not is_good:
                assert may_reset.wait(5)
                connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _RESET)
            connection.close()

    may_reset = threading.Event()

    async def body(url: str) -> None:
        loop = asyncio.get_running_loop()
        port = await Port.open(url, 0, 2.0)
        await port.write(b"010C\r", loop.time() + 1)
        while port.unread != b"41 0C":
            await asyncio.sleep(0.005)
        may_reset.set()
        began_s = time.monotonic()
        with pytest.raises(AdapterLost):
            await port.read_until(b">", loop.time() + 5)
        assert time.monotonic() - began_s < 1
        await port.close()
        again = await Port.open(url, 0, 2.0)
        await again.write(b"010C\r", loop.time() + 1)
        assert await again.read_until(b">", loop.time() + 2) == b"41 0C 1A F8\r\r"
        await again.close()

    with socket.create_server(("127.0.0.1", 0)) as listener:
        thread = threading.Thread(target=serve, args=(listener,), daemon=True)
        thread.start()
        asyncio.run(asyncio.wait_for(body(f"socket://127.0.0.1:{listener.getsockname()[1]}"), 15))
        thread.join(5)
