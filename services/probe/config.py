"""The agent's one YAML file: what to probe, from where, and what may be probed at all.

Every mistake is told with its line, its path and what is allowed, all of them at once.
"""

from __future__ import annotations

import math
import re
from pathlib import Path
from typing import Annotated, Any, Literal

import yaml
from pydantic import AfterValidator, BaseModel, ConfigDict, Field, ValidationError, model_validator

from services.probe.addresses import Allowance
from shared.yaml_files import ConfigurationInvalid, dotted, mapping_in, text_of, where


class _Strict(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, strict=True)


def _between(low: float, high: float) -> AfterValidator:
    def within(value: float) -> float:
        if not low <= value <= high:
            raise ValueError(f"{value:g} is not allowed; {low:g} to {high:g}")
        return value

    return AfterValidator(within)


def _some(value: tuple[Any, ...]) -> tuple[Any, ...]:
    # Not pydantic's min_length: it also counts a list short whose entries are wrong.
    if not value:
        raise ValueError("is empty; at least one")
    return value


def _one_line(value: str) -> str:
    if not 1 <= len(value) <= 200 or not value.isprintable() or value != value.strip():
        raise ValueError(
            f"{value[:60]!r} is not allowed; 1 to 200 printable characters, no blanks around them"
        )
    return value


def _word(value: str) -> str:
    if not re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9._-]{0,99}", value):
        raise ValueError(f"{value[:60]!r} is not allowed; letters, digits, '.', '_' and '-', at most 100")
    return value


def _host(value: str) -> str:
    if not re.fullmatch(r"[A-Za-z0-9]([A-Za-z0-9._-]*[A-Za-z0-9.])?|[0-9A-Fa-f:.]*:[0-9A-Fa-f:.]*", value):
        raise ValueError(
            f"{value[:60]!r} is not allowed; a host name or an address, without scheme, port or path"
        )
    return value


def _path(value: str) -> str:
    if not re.fullmatch(r"/[!-~]*", value) or len(value) > 150:
        raise ValueError(f"{value[:60]!r} is not allowed; '/' and at most 149 ASCII characters, no blanks")
    return value


def _statuses(value: str) -> str:
    for part in value.split(","):
        match = re.fullmatch(r"\s*([2-5]\d\d)\s*(?:-\s*([2-5]\d\d)\s*)?", part)
        if match is None or (match[2] and match[2] < match[1]):
            raise ValueError(
                f"{value[:60]!r} is not allowed; statuses 200 to 599 such as '200-399' or '200,204'"
            )
    return value


Name = Annotated[str, AfterValidator(_one_line)]
Word = Annotated[str, AfterValidator(_word)]
Host = Annotated[str, AfterValidator(_host)]
Port = Annotated[int, _between(1, 65_535)]
Seconds = Annotated[float, _between(0.05, 60)]


class Icmp(_Strict):
    """An echo request; check name "icmp"."""

    kind: Literal["icmp"]
    required: bool = True
    timeout_s: Seconds | None = None

    @property
    def check(self) -> str:
        """The name results carry."""
        return "icmp"


class Tcp(_Strict):
    """A TCP connect; check name "tcp:PORT"."""

    kind: Literal["tcp"]
    port: Port
    required: bool = True
    timeout_s: Seconds | None = None

    @property
    def check(self) -> str:
        """The name results carry."""
        return f"tcp:{self.port}"


class Http(_Strict):
    """A GET; check name "http:/PATH" or "https:/PATH", with the port before the path when it is not the
    usual one: "http:8080/health". A query is never part of the name."""

    kind: Literal["http", "https"]
    port: Port | None = None
    path: Annotated[str, AfterValidator(_path)] = "/"
    host: Host | None = None
    status: Annotated[str, AfterValidator(_statuses)] = "200-399"
    certificate_days: Annotated[int, _between(0, 3_650)] = 14
    ca_file: str | None = None
    required: bool = True
    timeout_s: Seconds | None = None

    @property
    def usual_port(self) -> int:
        """80 or 443."""
        return 443 if self.kind == "https" else 80

    @property
    def check(self) -> str:
        """The name results carry."""
        port = "" if self.port in (None, self.usual_port) else str(self.port)
        return f"{self.kind}:{port}{self.path.partition('?')[0]}"

    @property
    def statuses(self) -> tuple[tuple[int, int], ...]:
        """The inclusive ranges of statuses that mean up."""
        ranges = []
        for part in self.status.split(","):
            low, _, high = part.partition("-")
            ranges.append((int(low), int(high or low)))
        return tuple(ranges)


CheckConfig = Annotated[Icmp | Tcp | Http, Field(discriminator="kind")]


class Target(_Strict):
    """One application server or installation (contract, Words)."""

    target: Word
    name: Name
    host: Host
    interval_s: Annotated[int, _between(1, 86_400)] = 60
    confirm_down: Annotated[int, _between(1, 100)] = 2
    confirm_up: Annotated[int, _between(1, 100)] = 2
    checks: Annotated[tuple[CheckConfig, ...], Field(strict=False), AfterValidator(_some)]
    locations: Annotated[tuple[Word, ...] | None, Field(strict=False)] = None

    @model_validator(mode="after")
    def _coherent(self) -> Target:
        names = [check.check for check in self.checks]
        twice = sorted({name for name in names if names.count(name) > 1})
        if twice:
            raise ValueError(f"checks {', '.join(twice)} stand twice; each check of a target once")
        for check in self.checks:
            if check.timeout_s is not None and check.timeout_s > self.interval_s * 0.9:
                raise ValueError(
                    f"timeout_s {check.timeout_s:g} of {check.check} is not allowed; at most "
                    f"{self.interval_s * 0.9:g} (0.9 of interval_s): a slot ends before the next begins"
                )
        if not any(check.required for check in self.checks):
            raise ValueError("no check is required; at least one, or the target is never down")
        return self

    def timeout_s(self, check: Icmp | Tcp | Http) -> float:
        """Seconds one run of `check` may take: as configured, else 0.8 of the interval, at most 5."""
        return check.timeout_s if check.timeout_s is not None else min(5.0, self.interval_s * 0.8)


class Endpoint(_Strict):
    """A reference: something outside that tells "my own network is gone" from "the target is down"."""

    kind: Literal["tcp", "icmp"]
    host: Host
    port: Port | None = None

    @model_validator(mode="after")
    def _complete(self) -> Endpoint:
        if (self.kind == "tcp") != (self.port is not None):
            raise ValueError("port is needed for kind tcp and not allowed for kind icmp")
        return self


class References(_Strict):
    """Endpoints tried every `interval_s` seconds, each for at most `timeout_s`."""

    endpoints: Annotated[tuple[Endpoint, ...], Field(strict=False)] = ()
    interval_s: Annotated[float, _between(0.2, 30)] = 2.0
    timeout_s: Annotated[float, _between(0.1, 10)] = 1.0


class SpoolLimits(_Strict):
    """How much waits on disk while Kafka is away; beyond either bound the oldest results are dropped."""

    max_mb: Annotated[int, _between(1, 1_000_000)] = 512
    max_days: Annotated[float, _between(0.01, 400)] = 14.0


class Configuration(_Strict):
    """The whole file, the same one for every location."""

    locations: Annotated[tuple[Word, ...], Field(strict=False), AfterValidator(_some)]
    allow: Annotated[tuple[Allowance, ...], Field(strict=False)] = ()
    references: References = References()
    spool: SpoolLimits = SpoolLimits()
    concurrency: Annotated[int, _between(1, 50_000)] = 2_000
    targets: Annotated[tuple[Target, ...], Field(strict=False), AfterValidator(_some)]

    @model_validator(mode="after")
    def _coherent(self) -> Configuration:
        ids = [target.target for target in self.targets]
        twice = sorted({one for one in ids if ids.count(one) > 1}) if len(set(ids)) < len(ids) else []
        if twice:
            raise ValueError(f"targets {', '.join(twice)} stand twice; each target once")
        if len(set(self.locations)) < len(self.locations):
            raise ValueError("a location stands twice; each location once")
        for target in self.targets:
            unknown = sorted(set(target.locations or ()) - set(self.locations))
            if unknown or target.locations == ():
                raise ValueError(
                    f"locations of target {target.target} are not allowed; "
                    f"some of {', '.join(self.locations)}"
                )
        return self

    def locations_of(self, target: Target) -> tuple[str, ...]:
        """The locations that are expected to report `target`."""
        return target.locations or self.locations

    def warnings(self) -> list[str]:
        """What is allowed but probably not meant."""
        found = []
        for count, names in sorted(_by_location_count(self).items()):
            if count % 2 == 0:
                which = f"{names[0]} and {len(names) - 1} more" if len(names) > 1 else names[0]
                found.append(
                    f"{which}: probed from {count} locations, an even number: when they disagree half "
                    "and half the last verdict stays; use an odd number"
                )
        if not self.references.endpoints:
            found.append(
                "references.endpoints: none, so a failure is `down` even when this agent's own network "
                "is gone; name at least one endpoint outside, better three"
            )
        return found


def _by_location_count(configuration: Configuration) -> dict[int, list[str]]:
    found: dict[int, list[str]] = {}
    for target in configuration.targets:
        found.setdefault(len(configuration.locations_of(target)), []).append(target.target)
    return found


def load(path: Path) -> Configuration:
    """The configuration in the file `path`. Raises ConfigurationInvalid with every mistake found."""
    return parse(text_of(path), path.name)


def parse(text: str, name: str) -> Configuration:
    """The configuration written in `text`, a file called `name`. Raises ConfigurationInvalid."""
    written = mapping_in(text, name, "`locations:` and `targets:`")
    try:
        return Configuration.model_validate(written.data)
    except ValidationError as error:
        found = sorted(_told(written.root, mistake) for mistake in error.errors())
        raise ConfigurationInvalid([f"{name}:{line}: {what}" for line, what in found]) from None


def _told(root: yaml.Node, mistake: Any) -> tuple[int, str]:
    line, path = where(root, mistake["loc"])
    if mistake["type"] == "missing":
        path.append(mistake["loc"][-1])
    return line, f"{dotted(path)}: {_allowed(mistake)}" if path else _allowed(mistake)


def _allowed(mistake: Any) -> str:
    kind, context, value = mistake["type"], mistake.get("ctx", {}), mistake["input"]
    shown = repr(value)[:60] if not isinstance(value, (dict, list)) else "this"
    if kind == "value_error":
        return str(context["error"])
    if kind == "missing":
        return "is missing; it must be there"
    if kind == "extra_forbidden":
        return f"is not known; allowed here: {', '.join(_fields(mistake['loc']))}"
    if kind == "literal_error":
        return f"{shown} is not allowed; {context['expected']}"
    if kind == "union_tag_invalid":
        return f"kind {context['tag']!r} is not allowed; {context['expected_tags']}"
    if kind == "union_tag_not_found":
        return "kind is missing; 'icmp', 'tcp', 'http' or 'https'"
    said = str(mistake["msg"]).removeprefix("Input should be ")
    if isinstance(value, float) and not math.isfinite(value):
        said = "a number"
    return f"{shown} is not allowed; {said}"


def _fields(loc: tuple[str | int, ...]) -> list[str]:
    models: dict[str, type[BaseModel]] = {
        "icmp": Icmp, "tcp": Tcp, "http": Http, "https": Http,
        "endpoints": Endpoint, "references": References, "spool": SpoolLimits, "targets": Target,
    }  # fmt: skip
    names = [step for step in loc[:-1] if isinstance(step, str)]
    return (
        sorted(models.get(names[-1], Configuration).model_fields)
        if names
        else sorted(Configuration.model_fields)
    )
