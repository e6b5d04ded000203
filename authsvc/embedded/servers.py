"""One set of embedded servers: a PostgreSQL and a Valkey that belong to whoever started them."""

from contextlib import ExitStack
from pathlib import Path
from types import TracebackType
from typing import Self

from authsvc.embedded.places import Places
from authsvc.embedded.postgres import Postgres
from authsvc.embedded.valkey import Valkey


class Servers:
    """Running servers. Start them with `Servers.start`; any number of sets can run beside each other."""

    def __init__(self, postgres: Postgres, valkey: Valkey, stack: ExitStack) -> None:
        """For `start`: `stack` undoes what it did."""
        self.postgres = postgres
        self.valkey = valkey
        self._stack = stack

    @classmethod
    def start(cls, data_dir: Path | None, *, durable: bool = True) -> Self:
        """Start both, which takes a second or two and blocks. Raises StartupRefused when one of them cannot start.

        data_dir: where data is kept between runs, made when missing; None keeps nothing.
        durable: False turns PostgreSQL's fsync off, for tests that only ask what is stored.
        """
        with ExitStack() as stack:
            places = Places.claim(data_dir)
            stack.callback(places.release)
            postgres = Postgres(places, durable=durable)
            stack.callback(postgres.stop)
            valkey = Valkey(places)
            stack.callback(valkey.stop)
            return cls(postgres, valkey, stack.pop_all())

    @property
    def database_url(self) -> str:
        """The URL of PostgreSQL's first database."""
        return self.postgres.url()

    @property
    def redis_url(self) -> str:
        """The URL of Valkey's first logical database."""
        return self.valkey.url()

    def stop(self) -> None:
        """Stop both and remove what is temporary. A second call does nothing."""
        self._stack.close()

    def __enter__(self) -> Self:
        """Nothing more to do: they run."""
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """See stop."""
        self.stop()
