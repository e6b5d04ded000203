"""The revisions, in order; each .py runs the .sql file of the same name."""
