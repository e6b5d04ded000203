"""The reading side: what was decided, why, what it adds up to, and decisions as they are recorded."""
