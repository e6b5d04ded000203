"""The port that Prometheus reads, of the service and of the bridge alike."""

from collections.abc import Callable

from prometheus_client import CollectorRegistry, start_http_server


def serve_registry(registry: CollectorRegistry, host: str, port: int) -> tuple[Callable[[], None], int]:
    """Start answering scrapes, in a thread of its own. Returns how to stop it, and the port (0 asked for any)."""
    server, thread = start_http_server(port, host, registry=registry)

    def stop() -> None:
        server.shutdown()
        server.server_close()
        thread.join()

    return stop, int(server.server_address[1])
