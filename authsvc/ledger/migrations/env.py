"""What Alembic runs for every command. The connection is given by authsvc.ledger.migrate."""

from typing import TYPE_CHECKING

from alembic import context

if TYPE_CHECKING:
    from sqlalchemy import Connection

# KeyError here means that Alembic was started by its own command line: use `authsvc db migrate`.
connection: "Connection" = context.config.attributes["connection"]
context.configure(connection=connection, transaction_per_migration=True)
with context.begin_transaction():
    context.run_migrations()
