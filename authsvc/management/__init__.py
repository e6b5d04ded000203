"""The data that decisions are made on, as people and programs edit it."""
