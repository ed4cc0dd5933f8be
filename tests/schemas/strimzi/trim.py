"""Makes the schemas beside this file of Strimzi's own, strict: `python trim.py FOLDER RELEASE`, where FOLDER
is install/cluster-operator of a release of https://github.com/strimzi/strimzi-kafka-operator (Apache License
2.0).

Kept is what a resource of kafka.strimzi.io/v1 may say. Descriptions and status are left out, fields that the
schema does not name are refused, and what stands in it again and again stands in `$defs` once. Rules in CEL
(`x-kubernetes-validations`) are not JSON Schema and are left out too.
"""

from __future__ import annotations

import json
import sys
from collections import Counter
from hashlib import sha256
from pathlib import Path
from typing import Any

import yaml

FILES = ("040-Crd-kafka", "043-Crd-kafkatopic", "044-Crd-kafkauser", "045-Crd-kafkanodepool")
LONG = 120


def strict(schema: dict[str, Any]) -> dict[str, Any]:
    """The same with unknown fields refused, in JSON Schema's own words. What stands in `oneOf` and `anyOf`
    says which fields go together, not which there are."""
    if schema.get("x-kubernetes-int-or-string"):
        return {"type": ["integer", "string"]}
    kept = {
        name: value
        for name, value in schema.items()
        if name != "description" and not name.startswith("x-kubernetes-")
    }
    if "properties" in kept:
        kept["properties"] = {name: strict(value) for name, value in kept["properties"].items()}
        if not schema.get("x-kubernetes-preserve-unknown-fields"):
            kept["additionalProperties"] = False
    for name in ("items", "additionalProperties"):
        if isinstance(kept.get(name), dict):
            kept[name] = strict(kept[name])
    return kept


def shared(schema: dict[str, Any]) -> dict[str, Any]:
    """The same with what is long and stands in it more than once in `$defs`."""
    seen: Counter[str] = Counter()
    defs: dict[str, Any] = {}

    def count(part: Any) -> None:
        if isinstance(part, dict):
            text = json.dumps(part, sort_keys=True)
            if isinstance(part.get("type"), str) and len(text) > LONG:  # of a schema, not of its properties
                seen[text] += 1
                if seen[text] > 1:
                    return
            for inner in part.values():
                count(inner)

    def put(part: Any) -> Any:
        if not isinstance(part, dict):
            return part
        text = json.dumps(part, sort_keys=True)
        made = {name: put(value) for name, value in part.items()}
        if seen[text] < 2:
            return made
        name = sha256(text.encode()).hexdigest()[:8]
        defs[name] = made
        return {"$ref": f"#/$defs/{name}"}

    count(schema)
    return {**put(schema), "$defs": dict(sorted(defs.items()))}


def schema_of(crd: dict[str, Any], origin: str) -> dict[str, Any]:
    """The strict schema of one kind."""
    spec = crd["spec"]
    (version,) = (one for one in spec["versions"] if one["name"] == "v1" and one["served"])
    found = version["schema"]["openAPIV3Schema"]
    del found["properties"]["status"]
    for name, value in (("apiVersion", f"{spec['group']}/v1"), ("kind", spec["names"]["kind"])):
        found["properties"][name] = {"const": value}
    found["required"] = ["apiVersion", "kind", "metadata", "spec"]
    return {"$comment": origin, **shared(strict(found))}


def main(folder: Path, release: str) -> None:
    origin = f"strimzi-kafka-operator {release}, Apache License 2.0; made strict by trim.py"
    for name in FILES:
        crd = yaml.safe_load((folder / f"{name}.yaml").read_text())
        path = Path(__file__).with_name(f"{crd['spec']['names']['kind']}.json")
        path.write_text(json.dumps(schema_of(crd, origin), separators=(",", ":")) + "\n")


if __name__ == "__main__":
    main(Path(sys.argv[1]), sys.argv[2])
