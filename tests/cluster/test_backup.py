"""Both volumes of what is kept are lost, Kafka's and PostgreSQL's, and brought back from a backup.

As docs/operations/backup-and-restore.md tells it: databases first, then the log; back the other way round.
"""

from __future__ import annotations

import json

from tests.cluster.installed import Installation
from tests.cluster.witnessed import LABELS, copied, pod

KEPT = ("billing", "support", "notify", "status")
KEEPER, LOG = "keeper", "/tmp/log"  # noqa: S108
STORES = ("trial-kafka", "trial-postgres")
DATABASES = """
import os, subprocess, sys
from pathlib import Path
import pgserver
programs = Path(pgserver.__file__).parent / "pginstall" / "bin"
for name in sys.argv[2:]:
    url = os.environ[f"GARANT_{name.upper()}_DATABASE_URL"]
    if sys.argv[1] == "write":
        words = ["pg_dump", "--format=custom", f"--file=/tmp/{name}.dump", f"--dbname={url}"]
    else:
        words = ["pg_restore", "--no-owner", "--exit-on-error", f"--dbname={url}", f"/tmp/{name}.dump"]
    subprocess.run([programs / words[0], *words[1:]], check=True)
print("done")
"""
CREDITS = """
import json, os, psycopg
with psycopg.connect(os.environ["GARANT_BILLING_DATABASE_URL"]) as connection:
    columns = "credit, revision, amount, record"
    asked = f"SELECT {columns} FROM ledger_entries WHERE kind = 'credit' ORDER BY sequence"
    print(json.dumps(connection.execute(asked).fetchall()))
"""


def test_all_that_was_lost_comes_back_from_a_backup(second: Installation) -> None:
    _start_keeper(second)
    _tell(second, "kept")
    assert second.witness.ask("verify")["errors"] == []
    credits = json.loads(second.kube.python(KEEPER, CREDITS))
    assert credits
    second.kube.python(KEEPER, DATABASES, "write", *KEPT)
    second.kube.exec(KEEPER, "garant", "backup", "write", LOG)

    replicas = _stop_everything(second)
    _lose_volumes(second)
    second.kube.exec(KEEPER, "garant", "backup", "restore", LOG, within_s=600)
    second.kube.python(KEEPER, DATABASES, "restore", *KEPT)
    assert json.loads(second.kube.python(KEEPER, CREDITS)) == credits
    for name, count in replicas.items():
        second.kube("scale", name, f"--replicas={count}")
    second.kube.wait_ready()

    said = second.witness.ask("verify", committed=False)
    assert said["errors"] == []
    booked = json.loads(second.kube.python(KEEPER, CREDITS))
    assert booked[: len(credits)] == credits  # behind them the outage that the restore itself was, if any
    assert len({(credit, revision) for credit, revision, *_ in booked}) == len(booked), "none is booked again"
    done = second.kube.exec("witness", "garant", "reconcile", within_s=600, check=False)
    assert done.status == 0, done.out + done.err


def test_after_a_restore_new_facts_go_on(second: Installation) -> None:
    _tell(second, "after", stories=0)
    assert second.witness.ask("verify", committed=False)["errors"] == []


def _tell(trial: Installation, fault: str, stories: int = 3) -> None:
    trial.witness.ask("prepare", fault=fault, stories=stories, seed=1)
    trial.witness.ask("begin", fault=fault, results=100, facts=10, targets=40)
    trial.witness.ask("end")


def _start_keeper(trial: Installation) -> None:
    env = []
    for service in KEPT:
        workload = trial.kube.json("get", "deployment", f"garant-{service}")
        env += copied(workload, (f"GARANT_{service.upper()}_DATABASE_URL",))
    env += copied(trial.kube.json("get", "deployment", "garant-billing"), ("GARANT_KAFKA_BOOTSTRAP",))
    sleep = ["-c", "import time; time.sleep(36000)"]
    trial.kube.apply(pod(KEEPER, trial.images.tests, sleep, env, LABELS, "512Mi"))
    trial.kube("wait", "--for=condition=Ready", "--timeout=120s", f"pod/{KEEPER}")


def _stop_everything(trial: Installation) -> dict[str, int]:
    """Stops what is no store; returns how many of each there were."""
    listed = trial.kube.json(
        "get", "deployments,statefulsets", "--selector=app.kubernetes.io/instance=garant"
    )
    replicas = {
        f"{one['kind'].lower()}/{one['metadata']['name']}": int(one["spec"]["replicas"])
        for one in listed["items"]
        if one["metadata"]["labels"]["app.kubernetes.io/component"] not in STORES
    }
    for name in replicas:
        trial.kube("scale", name, "--replicas=0")
    trial.until(lambda: {one.component for one in trial.kube.pods()} == set(STORES), "all have stopped")
    return replicas


def _lose_volumes(trial: Installation) -> None:
    """Kafka and PostgreSQL come back empty."""
    for store in STORES:
        trial.kube("scale", f"statefulset/garant-{store}", "--replicas=0")
    trial.until(lambda: not trial.kube.pods(), "the stores have stopped")
    for store in STORES:
        trial.kube("delete", "persistentvolumeclaim", f"data-garant-{store}-0")
        trial.kube("scale", f"statefulset/garant-{store}", "--replicas=1")
    trial.kube.wait_ready()
