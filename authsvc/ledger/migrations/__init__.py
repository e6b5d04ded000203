"""Alembic environment and revisions; run through authsvc.ledger.migrate."""
