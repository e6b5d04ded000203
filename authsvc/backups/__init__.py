"""Backups of the whole PostgreSQL server: taken, verified, chained, pruned by age, and proven by restoring them."""
