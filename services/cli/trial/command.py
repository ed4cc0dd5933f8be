"""`garant trial`: the servers of a trial in a cluster, as its image runs them."""

from __future__ import annotations

import typer

from shared.settings import HomeSettings

app = typer.Typer(no_args_is_help=True, help="Run the Kafka or the PostgreSQL of a trial in a cluster.")


@app.command()
def kafka() -> None:
    """Run a Kafka of one node, without users: for a trial, never for what must last."""
    from services.cli.trial.kafka import run_kafka
    from services.cli.trial.settings import TrialSettings

    run_kafka(TrialSettings(), HomeSettings().home.absolute())


@app.command()
def postgres() -> None:
    """Run a PostgreSQL with a database for each service: for a trial, never for what must last."""
    from services.cli.trial.postgres import run_postgres
    from services.cli.trial.settings import TrialSettings

    run_postgres(TrialSettings(), HomeSettings().home.absolute())
