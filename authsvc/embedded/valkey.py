"""The embedded Valkey, and what a fault test does to it."""

import signal
import socket
from typing import Final

from authsvc.embedded.places import Places, valkey_binary
from authsvc.embedded.process import ServerProcess

RDB_NAME: Final = "dump.rdb"
COMMAND_TIMEOUT_S: Final = 30.0


class Valkey:
    """A running Valkey that listens on a Unix socket only, so that it always comes back under the same address."""

    def __init__(self, places: Places) -> None:
        """Start it. It keeps its data over a stop() when the places are kept, and only then."""
        data = places.valkey_data()
        self._rdb = data / RDB_NAME
        self._socket = places.run / "valkey" / "valkey.sock"
        settings = {
            "port": "0",
            "unixsocket": str(self._socket),
            "unixsocketperm": "700",
            "dir": str(data),
            "dbfilename": RDB_NAME,
            "save": "",  # no snapshots on its own: what comes back after a kill is what the test saved
            "appendonly": "no",
            "maxmemory-policy": "noeviction",
            "shutdown-on-sigterm": "save" if places.keep is not None else "nosave",
        }
        options = [word for name, value in settings.items() for word in (f"--{name}", value)]
        self._process = ServerProcess(
            "Valkey",
            [valkey_binary(), *options],
            log=places.log("valkey"),
            user=None,
            stop_signal=signal.SIGTERM,
            folder=places.run / "valkey",
            lock_fd=places.lock_fd,
        )
        self._process.start(self._ready)

    @property
    def pid(self) -> int | None:
        """The server's process id; None while it does not run."""
        return self._process.pid

    def url(self, database: int = 0) -> str:
        """The connection URL of one of its 16 logical databases."""
        return f"unix://{self._socket}?db={database}"

    def stop(self) -> None:
        """Shut it down in order."""
        self._process.stop()

    def kill(self) -> None:
        """SIGKILL: everything since the last save() is gone."""
        self._process.kill()

    def start_again(self, *, empty: bool) -> None:
        """Start it under the same URL, with the data of the last save() or with none. It must not be running."""
        if empty:
            self._rdb.unlink(missing_ok=True)
        self._process.start(self._ready)

    def save(self) -> None:
        """Write an RDB file now, to come back to later."""
        self._command("SAVE")

    def flush(self) -> None:
        """Delete everything in every database."""
        self._command("FLUSHALL")

    def _command(self, command: str) -> None:
        reply = self._ask(command)
        if not reply.startswith("+"):
            raise RuntimeError(f"Valkey answered {command} with {reply!r}")

    def _ready(self, _pid: int) -> bool:
        """While it loads an RDB file it answers with an error, and is not ready."""
        try:
            return self._ask("PING") == "+PONG"
        except OSError:
            return False

    def _ask(self, command: str) -> str:
        """One command without arguments, one answer of one line: not worth a client library."""
        with socket.socket(socket.AF_UNIX) as connection:
            connection.settimeout(COMMAND_TIMEOUT_S)
            connection.connect(str(self._socket))
            connection.sendall(f"{command}\r\n".encode())
            with connection.makefile("rb") as answer:
                return answer.readline().decode(errors="replace").rstrip()
