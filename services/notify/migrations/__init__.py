"""The notify database, version after version."""
