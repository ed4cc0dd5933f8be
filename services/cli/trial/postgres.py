"""The trial's PostgreSQL: a server alone in a container, with a database for each service."""

from __future__ import annotations

import importlib.util
import os
import subprocess
import tempfile
from pathlib import Path

from services.cli.trial.settings import TrialSettings
from shared.errors import NeedsAPerson

PORT = 5432
SERVICES = ("billing", "support", "notify", "status")
"""Each has a role and a database of its name."""
SUPERUSER = "garant_trial"


class PostgresFailed(NeedsAPerson):
    """The trial's database cannot be run; the message says what to do."""


def run_postgres(settings: TrialSettings, home: Path) -> None:
    """Replaces this process by the server, whose data is in `home`/postgres, made at the first start.

    Nobody can connect before every database is there. Raises PostgresFailed.
    """
    password = settings.postgres_password.get_secret_value()
    if not password or "\n" in password:
        raise PostgresFailed("Set GARANT_TRIAL_POSTGRES_PASSWORD: the password of every role, in one line.")
    programs, data = _programs(), home / "postgres"
    if not (data / "PG_VERSION").exists():
        _make(programs, data, password)
    server = str(programs / "postgres")
    os.execv(server, [server, "-D", str(data), "-p", str(PORT), "-h", "0.0.0.0", "-k", ""])  # noqa: S104, S606


def _programs() -> Path:
    found = importlib.util.find_spec("pgserver")
    if found is None or found.origin is None:
        raise PostgresFailed(
            "There is no PostgreSQL here: `garant trial postgres` runs in the image garant-trial "
            "(deploy/images)."
        )
    return Path(found.origin).parent / "pginstall" / "bin"


def _make(programs: Path, data: Path, password: str) -> None:
    """In a folder beside, moved in one step: a server that was stopped half-way begins anew."""
    with tempfile.TemporaryDirectory(dir=data.parent, prefix="postgres-new-") as folder:
        new, secret = Path(folder) / "data", Path(folder) / "password"
        secret.write_text(password + "\n")
        secret.chmod(0o600)
        options = ["-D", new, "-U", SUPERUSER, "--pwfile", secret, "-A", "scram-sha-256"]
        _run(
            [programs / "initdb", *options, "--encoding", "UTF8", "--locale", "C.UTF-8", "--no-instructions"]
        )
        with (new / "postgresql.conf").open("a") as file:
            file.write("shared_buffers = 32MB\nmax_connections = 100\nunix_socket_directories = ''\n")
        with (new / "pg_hba.conf").open("a") as file:
            file.write("host all all all scram-sha-256\n")
        quoted = password.replace("'", "''")
        statements = [
            line
            for name in SERVICES
            for line in (
                f"CREATE ROLE {name} LOGIN PASSWORD '{quoted}';",
                f"CREATE DATABASE {name} OWNER {name};",
            )
        ]
        # A server without a network: it reads its statements one a line and ends.
        _run([programs / "postgres", "--single", "-D", new, "postgres"], "\n".join(statements) + "\n")
        new.rename(data)


def _run(command: list[object], told: str = "") -> None:
    done = subprocess.run([str(word) for word in command], input=told, capture_output=True, text=True)
    if done.returncode != 0 or "ERROR:" in done.stderr:
        said = " ".join(done.stderr.split())[-500:]
        raise PostgresFailed(f"The trial's database could not be made ({command[0]}): {said}")
