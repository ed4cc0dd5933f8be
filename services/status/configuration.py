"""What is public: one YAML file that names the components, under ids and names that give nothing away.

Only what stands there is ever shown. Every mistake is told with its line, its path and what is allowed, all
of them at once.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Annotated, Any, get_args

import yaml
from msgspec import Struct
from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field, ValidationError

from services.status.site import LANGUAGES, Language, Texts
from shared.yaml_files import ConfigurationInvalid, dotted, mapping_in, text_of, where

EXAMPLE = Path(__file__).with_name("example.yaml")
"""What `garant up` shows: its demonstration application."""
LONGEST = 10_000
"""Characters of a name or description."""


class ComponentConfig(Struct, frozen=True):
    """A line of the page, and the targets it stands for; its texts have every language."""

    id: str
    name: Texts
    description: Texts
    targets: tuple[str, ...]


class GroupConfig(Struct, frozen=True):
    """Components under a heading; without a name they stand without one."""

    id: str
    name: Texts
    components: tuple[ComponentConfig, ...]


class Configuration(Struct, frozen=True):
    """The whole file. `url`: where the page is served, no slash at the end; "" where that is unknown."""

    vendor: str
    product: Texts
    url: str
    contact: str
    language: Language
    groups: tuple[GroupConfig, ...]

    @property
    def components(self) -> tuple[ComponentConfig, ...]:
        """Every component, in the order of the page."""
        return tuple(component for group in self.groups for component in group.components)

    @property
    def targets(self) -> frozenset[str]:
        """Every target anything is shown of."""
        return frozenset(target for component in self.components for target in component.targets)


def load(path: Path | None) -> Configuration:
    """The configuration in the file `path`, None: the demonstration. Raises ConfigurationInvalid."""
    path = path or EXAMPLE
    return parse(text_of(path, "; set GARANT_STATUS_CONFIG to what says what is public"), path.name)


def parse(text: str, name: str) -> Configuration:
    """The configuration written in `text`, a file called `name`. Raises ConfigurationInvalid."""
    written = mapping_in(text, name, "`vendor:` and `groups:`")
    root = written.root
    try:
        file = _File.model_validate(written.data)
    except ValidationError as error:
        found = sorted(_told(root, mistake) for mistake in error.errors())
        raise ConfigurationInvalid([f"{name}:{line}: {what}" for line, what in found]) from None
    if mistakes := sorted(_ids_twice(root, file)):
        raise ConfigurationInvalid([f"{name}:{line}: {what}" for line, what in mistakes])
    return _configuration(file)


def _id(value: str) -> str:
    if not re.fullmatch(r"[a-z0-9-]{1,40}", value):
        raise ValueError(
            f"{value[:60]!r} is not allowed; 1 to 40 of a-z, 0-9 and '-': it stands in public addresses"
        )
    return value


def _target(value: str) -> str:
    if not 1 <= len(value) <= 200:
        raise ValueError(f"{value[:60]!r} is not allowed; a target's id, 1 to 200 characters")
    return value


def _text(value: str) -> str:
    if len(value) > LONGEST:
        raise ValueError(f"{len(value)} characters are not allowed; at most {LONGEST}")
    return value


def _in_languages(value: Any) -> Any:
    """A text of one language for all, or by language: the first listed stands in for those left out."""
    if isinstance(value, str):
        return dict.fromkeys(LANGUAGES, value)
    if not isinstance(value, dict) or not value:
        raise ValueError(f"a text, or a text for some of {', '.join(LANGUAGES)}")
    if unknown := [str(language) for language in value if language not in LANGUAGES]:
        raise ValueError(f"{', '.join(unknown)[:60]}: not a language of the page; {', '.join(LANGUAGES)}")
    if not all(isinstance(text, str) for text in value.values()):
        raise ValueError("a text for each language; put it between quotes")
    first = next(iter(value.values()))
    return {language: value.get(language, first) for language in LANGUAGES}


def _named(value: Mapping[str, str]) -> Mapping[str, str]:
    if not all(text.strip() for text in value.values()):
        raise ValueError("is empty; what readers call it")
    return value


def _bounded(value: Mapping[str, str]) -> Mapping[str, str]:
    for text in value.values():
        _text(text)
    return value


def _link(value: str) -> str:
    if value and not re.fullmatch(r"https?://[!-~]+", value):
        raise ValueError(f"{value[:60]!r} is not allowed; https://...")
    return value.rstrip("/")


def _contact(value: str) -> str:
    if value and not re.fullmatch(r"(https?://|mailto:)[!-~]+|[!-~]+@[!-~]+", value):
        raise ValueError(f"{value[:60]!r} is not allowed; https://... or an e-mail address")
    return value


def _some(value: tuple[Any, ...]) -> tuple[Any, ...]:
    # Not pydantic's min_length: it also counts a list short whose entries are wrong.
    if not value:
        raise ValueError("is empty; at least one")
    return value


def _once(value: tuple[str, ...]) -> tuple[str, ...]:
    if twice := sorted({one for one in value if value.count(one) > 1}):
        raise ValueError(f"{', '.join(twice)} stands twice; each target of a component once")
    return value


_Id = Annotated[str, AfterValidator(_id)]
_Texts = Annotated[dict[str, str], BeforeValidator(_in_languages), AfterValidator(_bounded)]
_Name = Annotated[_Texts, AfterValidator(_named)]
_NONE: dict[str, str] = dict.fromkeys(LANGUAGES, "")


class _Strict(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, strict=True)


class _Component(_Strict):
    id: _Id
    name: _Name
    description: _Texts = _NONE
    targets: Annotated[
        tuple[Annotated[str, AfterValidator(_target)], ...],
        Field(strict=False),
        AfterValidator(_some),
        AfterValidator(_once),
    ]


class _Group(_Strict):
    id: _Id = ""
    name: _Texts = _NONE
    components: Annotated[tuple[_Component, ...], Field(strict=False), AfterValidator(_some)]


class _File(_Strict):
    vendor: Annotated[str, AfterValidator(_text)]
    product: _Name
    url: Annotated[str, AfterValidator(_link)] = ""
    contact: Annotated[str, AfterValidator(_contact)] = ""
    language: Language = "fr"
    groups: Annotated[tuple[_Group, ...], Field(strict=False), AfterValidator(_some)]


def _configuration(file: _File) -> Configuration:
    groups = tuple(
        GroupConfig(
            group.id or f"group-{number}",
            group.name,
            tuple(
                ComponentConfig(one.id, one.name, one.description, one.targets) for one in group.components
            ),
        )
        for number, group in enumerate(file.groups, 1)
    )
    return Configuration(file.vendor, file.product, file.url, file.contact, file.language, groups)


def _ids_twice(root: yaml.Node, file: _File) -> Iterator[tuple[int, str]]:
    """Components, and groups, whose id stands before: ids are addresses."""
    seen: dict[tuple[str, str], str] = {}
    for place, group in enumerate(file.groups):
        found: list[tuple[tuple[str, str], tuple[str | int, ...]]]
        found = [(("group", group.id or f"group-{place + 1}"), ("groups", place))]
        found += [
            (("component", one.id), ("groups", place, "components", number))
            for number, one in enumerate(group.components)
        ]
        for key, at in found:
            line, found_at = where(root, at)
            path = dotted(found_at)
            if key in seen:
                yield line, f"{path}.id: {key[0]} {key[1]} stands at {seen[key]} before; each id once"
            seen.setdefault(key, path)


def _told(root: yaml.Node, mistake: Any) -> tuple[int, str]:
    kind, context, value = mistake["type"], mistake.get("ctx", {}), mistake["input"]
    line, path = where(root, mistake["loc"])
    if kind == "missing":
        return line, f"{dotted([*path, mistake['loc'][-1]])}: is missing; it must be there"
    return line, f"{dotted(path)}: {_allowed(kind, context, value, mistake)}"


_COMPONENT_OR: dict[int, type[BaseModel]] = {0: _File, 2: _Group}
"""What a field belongs to, by how deep it stands."""


def _allowed(kind: str, context: Mapping[str, Any], value: Any, mistake: Any) -> str:
    if kind == "value_error":
        return str(context["error"])
    if kind == "extra_forbidden":
        model: type[BaseModel] = _COMPONENT_OR.get(len(mistake["loc"]) - 1, _Component)
        return f"is not known; allowed here: {', '.join(sorted(model.model_fields))}"
    shown = "this" if isinstance(value, dict | list) else repr(value)[:60]
    if kind == "literal_error":
        return f"{shown} is not allowed; one of {', '.join(get_args(Language))}"
    said = str(mistake["msg"]).removeprefix("Input should be ")
    hint = "; put it between quotes" if kind == "string_type" and not isinstance(value, dict | list) else ""
    return f"{shown} is not allowed; {said}{hint}"
