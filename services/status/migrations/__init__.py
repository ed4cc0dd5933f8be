"""The status database, version after version."""
