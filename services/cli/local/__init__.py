"""A broker on this machine: named, in Docker, or from pinned jars."""
