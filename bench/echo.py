"""A no-op unary echo on the service's own server stack (grpc.aio on uvloop): what every result is compared with.

`python -m bench.echo` runs it alone and prints its port; `handlers()` is the same method for a running server.
"""

import asyncio
import contextlib
import signal
from typing import Final

import grpc
import uvloop

SERVICE: Final = "authsvc.bench.Echo"


async def _echo(request: bytes, context: "grpc.aio.ServicerContext[bytes, bytes]") -> bytes:  # noqa: ARG001
    return request


def handlers() -> grpc.GenericRpcHandler:
    """The method `/authsvc.bench.Echo/Call`: bytes in, the same bytes out."""
    return grpc.method_handlers_generic_handler(SERVICE, {"Call": grpc.unary_unary_rpc_method_handler(_echo)})


async def start(message_max_bytes: int = 1_048_576) -> tuple[grpc.aio.Server, int]:
    """A running echo server and its port; the options are those of the service."""
    server = grpc.aio.server(
        options=[
            ("grpc.so_reuseport", 1),
            ("grpc.max_receive_message_length", message_max_bytes),
            ("grpc.max_send_message_length", message_max_bytes),
        ]
    )
    server.add_generic_rpc_handlers((handlers(),))
    port = server.add_insecure_port("127.0.0.1:0")
    await server.start()
    return server, port


async def _serve() -> None:
    server, port = await start()
    print(port, flush=True)  # the parent reads it
    stop = asyncio.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        asyncio.get_running_loop().add_signal_handler(number, stop.set)
    await stop.wait()
    await server.stop(0)


if __name__ == "__main__":
    with contextlib.suppress(KeyboardInterrupt):
        uvloop.run(_serve())
