"""Finding the adapter behind a port: at the configured speed, or at the usual ones in turn."""

import asyncio

from edge.sensors.obd.config import ObdConfig
from edge.sensors.obd.elm import Elm
from edge.sensors.obd.errors import AdapterLost, ObdError
from edge.sensors.obd.memory import Memory
from edge.sensors.obd.port import OpenPort, Port

BAUDS = (38_400, 115_200, 9_600, 230_400, 57_600)


async def open_adapter(config: ObdConfig, memory: Memory, open_port: OpenPort = Port.open) -> tuple[Port, Elm]:
    """The open port and the adapter behind it, noted in `memory`. `ObdError` when there is none."""
    bauds = (config.baud,) if config.baud else tuple(dict.fromkeys((memory.baud or BAUDS[0], *BAUDS)))
    if "://" in config.port:
        bauds = bauds[:1]
    error: ObdError = AdapterLost("no speed to try")
    for baud in bauds:
        port = await open_port(config.port, baud, config.open_deadline_s)
        try:
            elm = await Elm.start(port, config.deadline_s, config.search_deadline_s)
        except ObdError as err:
            await port.close()
            if isinstance(err, AdapterLost):
                raise
            error = err
        except asyncio.CancelledError:
            await port.close()
            raise
        else:
            memory.baud = baud
            memory.know_adapter(elm.identity)
            return port, elm
    raise error
