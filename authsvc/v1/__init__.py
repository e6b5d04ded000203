"""Generated from protos/authsvc/v1 by `make protos`; never edited."""
