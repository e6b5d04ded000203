"""Lithic as a caller, without Lithic: signed questions, and the webhooks of what becomes of each card transaction."""
