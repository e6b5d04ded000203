"""Spend counters and reservations in Redis or Valkey: derived from the ledger, exact because the ledger fences them."""
