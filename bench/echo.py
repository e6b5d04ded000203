"""A no-op unary echo on the service's own server stack: what every result is compared with.

`python -m bench.echo` runs it alone and prints its port: the same Server, loop, options, health and reflection as the
service, with nothing behind them.
"""

import asyncio
import signal
from typing import Final

import grpc
import uvloop

from authsvc import settings
from authsvc.server import Server

SERVICE: Final = "authsvc.bench.Echo"


async def _echo(request: bytes, context: "grpc.aio.ServicerContext[bytes, bytes]") -> bytes:  # noqa: ARG001
    return request


def handlers() -> grpc.GenericRpcHandler:
    """The method `/authsvc.bench.Echo/Call`: bytes in, the same bytes out."""
    return grpc.method_handlers_generic_handler(SERVICE, {"Call": grpc.unary_unary_rpc_method_handler(_echo)})


async def _serve() -> None:
    server = Server(settings.load({}, port=0), {}, extra=(handlers(),))
    port = await server.start()
    print(port, flush=True)  # the parent reads it
    stop = asyncio.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        asyncio.get_running_loop().add_signal_handler(number, stop.set)
    await stop.wait()
    await server.stop(0)


if __name__ == "__main__":
    uvloop.run(_serve())
