"""Writes the schemas beside this file from the Go modules that publish them: only the kinds the chart makes,
without descriptions, and strict: a field that is not known is refused.

    .venv/bin/python -m tests.schemas.kubernetes.extract

Needs `go` and its module proxy. Every source is under the Apache License 2.0.
"""

from __future__ import annotations

import json
import subprocess
from pathlib import Path
from typing import Any

import yaml

HERE = Path(__file__).parent
KUBERNETES = {"1.32": "v1.32.10", "1.33": "v1.33.6", "1.34": "v1.34.2"}
KINDS = {
    "api__v1": ("v1", ("ConfigMap", "Pod", "PersistentVolumeClaim", "Secret", "Service", "ServiceAccount")),
    "apis__apps__v1": ("apps/v1", ("Deployment", "StatefulSet")),
    "apis__batch__v1": ("batch/v1", ("Job",)),
    "apis__networking.k8s.io__v1": ("networking.k8s.io/v1", ("NetworkPolicy",)),
    "apis__policy__v1": ("policy/v1", ("PodDisruptionBudget",)),
}
CUSTOM = (
    ("sigs.k8s.io/gateway-api@v1.4.1", "config/crd/standard/gateway.networking.k8s.io_httproutes.yaml"),
    (
        "github.com/prometheus-operator/prometheus-operator@v0.92.1",
        "example/prometheus-operator-crd/monitoring.coreos.com_podmonitors.yaml",
    ),
    (
        "github.com/prometheus-operator/prometheus-operator@v0.92.1",
        "example/prometheus-operator-crd/monitoring.coreos.com_prometheusrules.yaml",
    ),
    ("github.com/cert-manager/cert-manager@v1.19.1", "deploy/crds/cert-manager.io_certificates.yaml"),
    (
        "github.com/external-secrets/external-secrets@v0.16.2",
        "config/crds/bases/external-secrets.io_externalsecrets.yaml",
    ),
)


def main() -> None:
    """Writes kubernetes-VERSION.json for each version, and custom.json."""
    for version, release in KUBERNETES.items():
        module = f"k8s.io/kubernetes@{release}"
        _write(f"kubernetes-{version}.json", {"origin": [module], **built_in(_module(module))})
    kinds: dict[str, Any] = {}
    for module, path in CUSTOM:
        kinds |= custom(yaml.safe_load((_module(module) / path).read_text()))
    origin = sorted({module for module, _ in CUSTOM})
    _write("custom.json", {"origin": origin, "kinds": kinds, "definitions": {}})


def built_in(module: Path) -> dict[str, Any]:
    """Of one release of Kubernetes: each kind's schema, and the definitions they refer to."""
    kinds, every = {}, {}
    for file, (api, names) in KINDS.items():
        document = json.loads((module / "api/openapi-spec/v3" / f"{file}_openapi.json").read_text())
        every |= document["components"]["schemas"]
        for name, schema in document["components"]["schemas"].items():
            for group in schema.get("x-kubernetes-group-version-kind", ()):
                found = "/".join(filter(None, (group["group"], group["version"])))
                if (found, group["kind"] in names) == (api, True):
                    kinds[f"{api}/{group['kind']}"] = {"$ref": f"#/definitions/{name}"}
    needed: dict[str, Any] = {}
    waiting = [schema["$ref"] for schema in kinds.values()]
    while waiting:
        name = waiting.pop().rpartition("/")[2]
        if name not in needed:
            needed[name] = strict(every[name])
            waiting += _references(needed[name])
    return {"kinds": kinds, "definitions": needed}


def custom(document: dict[str, Any]) -> dict[str, Any]:
    """The served version v1 of a custom resource."""
    spec = document["spec"]
    version = next(one for one in spec["versions"] if one["name"] == "v1" and one["served"])
    schema = strict(version["schema"]["openAPIV3Schema"])
    return {f"{spec['group']}/v1/{spec['names']['kind']}": schema}


def strict(schema: Any) -> Any:
    """A JSON schema that says the same and refuses fields it does not know."""
    if isinstance(schema, list):
        return [strict(one) for one in schema]
    if not isinstance(schema, dict):
        return schema
    if schema.get("x-kubernetes-int-or-string"):
        return {"type": ["integer", "string"]}
    made = {
        key: {name: strict(one) for name, one in value.items()} if key == "properties" else strict(value)
        for key, value in schema.items()
        if key not in ("description", "default", "example") and not key.startswith("x-")
    }
    if "$ref" in made:
        made["$ref"] = made["$ref"].replace("#/components/schemas/", "#/definitions/")
    open_ended = schema.get("x-kubernetes-preserve-unknown-fields") or "additionalProperties" in schema
    if "properties" in made and not open_ended:
        made["additionalProperties"] = False
    return made


def _references(schema: Any) -> list[str]:
    if isinstance(schema, list):
        return [found for one in schema for found in _references(one)]
    if not isinstance(schema, dict):
        return []
    own = [schema["$ref"]] if isinstance(schema.get("$ref"), str) else []
    return own + [found for one in schema.values() for found in _references(one)]


def _module(module: str) -> Path:
    answer = subprocess.run(
        ["go", "mod", "download", "-json", module], check=True, capture_output=True, text=True
    )
    return Path(json.loads(answer.stdout)["Dir"])


def _write(name: str, document: dict[str, Any]) -> None:
    text = json.dumps(document, separators=(",", ":"), sort_keys=True)
    (HERE / name).write_text(text.replace('"},"', '"},\n"') + "\n")


if __name__ == "__main__":
    main()
