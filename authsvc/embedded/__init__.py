"""Real PostgreSQL and Valkey servers from wheels: for the demo, the tests and laptops; never for production."""

from authsvc.embedded.servers import Servers

__all__ = ["Servers"]
