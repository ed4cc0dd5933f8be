"""What a platform team has before it installs Garant: a Kafka of three nodes with TLS, users and rights, a
PostgreSQL, a mail server, and the vendor's application; and the values by which Garant is told of them.

The values are those that docs/operations/install.md shows, with our addresses."""

from __future__ import annotations

import json
import re
import secrets
from pathlib import Path
from typing import Any

import trustme
import yaml

from services.cli.local.config import DEPLOY
from services.cli.trial.postgres import PORT as POSTGRES
from services.cli.trial.postgres import SERVICES as ON_POSTGRES
from shared.access import ACCESSES, user
from shared.settings import KafkaSettings
from tests.cluster.images import Images
from tests.cluster.kafka_node import NODES, PLAIN, SASL
from tests.cluster.kube import Kube
from tests.cluster.witnessed import NAME, Witness, namespace_peer, pod
from tests.kafka.secure_kafka import pem

INSTALL = DEPLOY.parents[1] / "docs" / "operations" / "install.md"
NAMESPACE = "garant-test-beside"
DOMAIN = f"{NAMESPACE}.svc.cluster.local"
KAFKA = f"kafka.{DOMAIN}"
WITH_MAIL = ("support", "notify")
CA_SECRET = "garant-cluster-ca-cert"  # noqa: S105
APP, APP_PORT = "app-1", 8080
IMAP, SMTP = 28143, 28025
IN_SYNC = """
import sys
from kafka import KafkaAdminClient
admin = KafkaAdminClient(bootstrap_servers=sys.argv[1])
found = [part for topic in admin.describe_topics() for part in topic["partitions"]]
print(len(found), *(sum(len(part[copies]) < 3 for part in found) for copies in ("replicas", "isr")))
"""
"""Prints how many partitions there are, how many have fewer than three copies, and how many of those are not
all in step."""
EVERY_CUT = """
import asyncio, datetime
from services.cli.publish import publish_facts
from shared.settings import KafkaSettings
from tests.core.telling import published, terms_with
fact = published(terms_with(longer_than_hours=0), "every-cut", datetime.date.today().isoformat())
asyncio.run(publish_facts(KafkaSettings(), [fact], "/garant/test"))
"""
"""Terms under which a cut of any length is credited: one over 24 hours is too long for a test."""
CHANGE = """
import asyncio, sys
from tests.kafka.secure_kafka import set_password
asyncio.run(set_password(*sys.argv[1:]))
"""


class Beside:
    """All of it, in a namespace of its own; `witness` is there too, and administers Kafka."""

    def __init__(self, images: Images, production: str) -> None:
        self.kube = Kube(NAMESPACE)
        self.witness = Witness(self.kube, images)
        self._images = images
        self._production = production
        self._authority = trustme.CA()
        self._database, self._mail = secrets.token_hex(16), secrets.token_hex(16)
        self._tokens = {name: secrets.token_hex(20) for name in ON_POSTGRES}
        self.passwords = {access.service: secrets.token_hex(16) for access in ACCESSES}

    def start(self) -> None:
        """Returns once everything answers, Garant's topics and rights included."""
        self.kube.remove()
        self.kube.make()
        self._make()
        self.kube.wait(lambda: not self.kube.waiting_for("beside"), "Kafka and PostgreSQL answer")
        self.witness.start_with(self._witness_env())
        self.garant("topics", "apply", "--apply-acls")

    def garant(self, *words: str) -> str:
        """What `garant` says to Kafka's administrator."""
        return self.kube.exec(NAME, "garant", *words).out

    def python(self, source: str, *arguments: str) -> str:
        """What a program says beside Kafka."""
        return self.kube.python(NAME, source, *arguments)

    def copies(self) -> tuple[int, int, int]:
        """Of all partitions: how many, with too few copies, with copies not in step."""
        count, few, late = map(int, self.python(IN_SYNC, f"{KAFKA}:{PLAIN}").split())
        return count, few, late

    def break_app(self) -> None:
        self.kube("scale", "deployment/app", "--replicas=0")

    def mend_app(self) -> None:
        self.kube("scale", "deployment/app", "--replicas=1")

    def change_password(self, service: str) -> None:
        """Of Kafka's user, as docs/operations/secrets.md has it, up to the restart."""
        self.passwords[service] = secrets.token_hex(16)
        name = user(KafkaSettings(), service)
        self.python(CHANGE, f"{KAFKA}:{PLAIN}", name, self.passwords[service])

    def secret(self, service: str) -> dict[str, Any]:
        """The Secret of one of Garant's services, for its namespace."""
        data = {"kafka-password": self.passwords[service]}
        if service in ON_POSTGRES:
            data |= {"database-url": self._url(service), "token": self._tokens[service]}
        if service in WITH_MAIL:
            data |= {"imap-password": self._mail, "smtp-password": self._mail}
        return _secret(f"garant-{service}", data)

    def first(self) -> list[dict[str, Any]]:
        """What must be in Garant's namespace before it is installed."""
        services = ("sla", "probe", "admin", *ON_POSTGRES)
        return [
            _secret(CA_SECRET, {"ca.crt": self._authority.cert_pem.bytes().decode()}),
            *(self.secret(service) for service in services),
        ]

    def values(self) -> dict[str, Any]:
        """What is told to the chart: the page's example, with these addresses."""
        shown = re.search(r"## 4\. Values\n+```yaml\n(.*?)```", INSTALL.read_text(), re.S)
        assert shown, f"{INSTALL} shows no values"
        imap = {"host": f"mail.{DOMAIN}", "port": IMAP, "tls": "none"}
        smtp = {"host": f"mail.{DOMAIN}", "port": SMTP, "tls": "none"}
        mails = {
            name: {"mail": {"address": address, "imap": {**imap, "user": address}, "smtp": smtp}}
            for name, address in (("support", "support@garant.example"), ("notify", "letters@garant.example"))
        }
        peers = [namespace_peer(NAMESPACE)]
        page = {"id": "all", "components": [{"id": "app", "name": {"en": "Application"}, "targets": [APP]}]}
        locations = ["zurich", "geneva", "lugano"]
        checks = [{"kind": "tcp", "port": APP_PORT}, {"kind": "http", "port": APP_PORT, "path": "/"}]
        target = {"target": APP, "name": "App", "host": f"app.{DOMAIN}", "interval_s": 2, "checks": checks}
        ours = {
            "image": {"digest": ""},
            "kafka": {"bootstrap": f"{KAFKA}:{SASL}", "topics": {"apply": True}},
            "secrets": {"admin": "garant-admin"},
            **mails,
            "status": {"config": {"vendor": "V", "product": {"en": "P"}, "language": "en", "groups": [page]}},
            "probe": {
                "agents": [{"location": name} for name in locations],
                "config": {"locations": locations, "allow": ["private"], "targets": [target]},
            },
            "networkPolicy": {name: {"peers": peers} for name in ("kafka", "database", "mail")},
        }
        ours["support"]["settings"] = {"GARANT_SUPPORT_AUTHSERV_ID": "mail.garant.example"}
        return merged(yaml.safe_load(shown[1]), ours)

    def _make(self) -> None:
        names = [f"*.{KAFKA}", KAFKA]
        given = {
            "server.pem": pem(self._authority.issue_cert(*names)).decode(),
            "users.json": json.dumps(
                {user(KafkaSettings(), name): password for name, password in self.passwords.items()}
            ),
        }
        image, kafka = self._images.tests, ["python", "-m", "tests.cluster.kafka_node"]
        mail_env = {"HOST": "0.0.0.0", "OUTSIDE": "true", "PASSWORD": self._mail}  # noqa: S104
        self.kube.apply(
            _secret("beside", given),
            *_kept("kafka", image, kafka, [_variable("DOMAIN", KAFKA)], [PLAIN, SASL], NODES, "900Mi"),
            *_kept(
                "postgres",
                image,
                ["garant", "trial", "postgres"],
                [_variable("GARANT_TRIAL_POSTGRES_PASSWORD", self._database)],
                [POSTGRES],
            ),
            *_kept(
                "mail",
                image,
                ["garant", "mailbox"],
                [_variable(f"GARANT_MAILBOX_{name}", value) for name, value in mail_env.items()],
                [SMTP, IMAP],
            ),
            *_application(image),
        )

    def _url(self, service: str) -> str:
        return f"postgresql://{service}:{self._database}@postgres.{DOMAIN}:{POSTGRES}/{service}"

    def _witness_env(self) -> list[dict[str, str]]:
        billing = f"http://garant-billing.{self._production}.svc.cluster.local:28083"
        return [
            _variable("GARANT_KAFKA_BOOTSTRAP", f"{KAFKA}:{PLAIN}"),
            _variable("GARANT_KAFKA_REPLICATION", str(NODES)),
            _variable("GARANT_BILLING_DATABASE_URL", self._url("billing")),
            _variable("GARANT_BILLING_URL", billing),
            _variable("GARANT_BILLING_TOKEN", self._tokens["billing"]),
        ]


def merged(shown: dict[str, Any], ours: dict[str, Any]) -> dict[str, Any]:
    """`shown` with what `ours` says otherwise, at any depth; lists are taken whole."""
    found = dict(shown)
    for name, value in ours.items():
        both = isinstance(value, dict) and isinstance(shown.get(name), dict)
        found[name] = merged(shown[name], value) if both else value
    return found


def written(values: dict[str, Any], folder: Path) -> Path:
    """A values file."""
    path = folder / "values.yaml"
    path.write_text(yaml.safe_dump(values))
    return path


def _variable(name: str, value: str) -> dict[str, str]:
    return {"name": name, "value": value}


def _secret(name: str, data: dict[str, str]) -> dict[str, Any]:
    return {"apiVersion": "v1", "kind": "Secret", "metadata": {"name": name}, "stringData": data}


def _service(name: str, ports: list[int]) -> dict[str, Any]:
    """Without an address of its own: a node is asked for by name, also before it is ready."""
    listed = [{"name": f"port-{port}", "port": port} for port in ports]
    spec = {
        "clusterIP": "None",
        "publishNotReadyAddresses": True,
        "selector": {"garant.ch/beside": name},
        "ports": listed,
    }
    return {"apiVersion": "v1", "kind": "Service", "metadata": {"name": name}, "spec": spec}


def _workload(
    kind: str, name: str, template: dict[str, Any], port: int, replicas: int, **more: Any
) -> dict[str, Any]:
    ready = {"tcpSocket": {"port": port}, "periodSeconds": 2, "failureThreshold": 2}
    template["spec"]["containers"][0]["readinessProbe"] = ready
    return {
        "apiVersion": "apps/v1",
        "kind": kind,
        "metadata": {"name": name, "labels": {"app.kubernetes.io/instance": "beside"}},
        "spec": {
            "replicas": replicas,
            "selector": {"matchLabels": {"garant.ch/beside": name}},
            "template": {"metadata": template["metadata"], "spec": template["spec"]},
            **more,
        },
    }


def _template(
    name: str, image: str, command: list[str], env: list[dict[str, str]], memory: str
) -> dict[str, Any]:
    labels = {"garant.ch/beside": name, "app.kubernetes.io/instance": "beside"}
    made = pod(name, image, [], env, labels, memory)
    made["spec"]["containers"][0]["command"] = command
    return made


def _kept(
    name: str,
    image: str,
    command: list[str],
    env: list[dict[str, str]],
    ports: list[int],
    replicas: int = 1,
    memory: str = "384Mi",
) -> list[dict[str, Any]]:
    """A StatefulSet whose pods keep GARANT_HOME, and its Service."""
    template = _template(name, image, command, env, memory)
    spec = template["spec"]
    spec["securityContext"]["fsGroup"] = spec["securityContext"]["runAsUser"]
    spec["terminationGracePeriodSeconds"] = 30
    spec["volumes"].append({"name": "beside", "secret": {"secretName": "beside"}})
    spec["containers"][0]["volumeMounts"] += [
        {"name": "data", "mountPath": "/var/lib/garant"},
        {"name": "beside", "mountPath": "/etc/beside", "readOnly": True},
    ]
    claim = {
        "metadata": {"name": "data"},
        "spec": {"accessModes": ["ReadWriteOnce"], "resources": {"requests": {"storage": "1Gi"}}},
    }
    more = {"serviceName": name, "podManagementPolicy": "Parallel", "volumeClaimTemplates": [claim]}
    return [_service(name, ports), _workload("StatefulSet", name, template, ports[-1], replicas, **more)]


def _application(image: str) -> list[dict[str, Any]]:
    """The vendor's."""
    command = ["python", "-m", "http.server", str(APP_PORT), "--directory", "/tmp"]  # noqa: S108
    template = _template("app", image, command, [], "128Mi")
    return [_service("app", [APP_PORT]), _workload("Deployment", "app", template, APP_PORT, 1)]
