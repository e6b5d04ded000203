"""From PostgreSQL to memory: the configuration that decisions are made on."""
