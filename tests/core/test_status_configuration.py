"""What is public is what one file says, and every mistake in it is told with its line."""

from __future__ import annotations

from pathlib import Path

import pytest

from services.probe.config import load as load_probes
from services.status.configuration import EXAMPLE, load, parse
from services.status.settings import StatusSettings
from services.status.site import LANGUAGES
from shared.yaml_files import ConfigurationInvalid

PLAIN = """
vendor: Acme
product: Shop
groups:
  - components:
      - id: shop
        name: {de: Laden, en: Shop}
        targets: [app-1, app-2]
"""


def mistakes(text: str) -> tuple[str, ...]:
    with pytest.raises(ConfigurationInvalid) as found:
        parse(text, "page.yaml")
    return found.value.mistakes


def test_a_text_of_one_language_stands_for_all_and_the_first_for_those_left_out() -> None:
    found = parse(PLAIN, "page.yaml")
    assert found.product == dict.fromkeys(LANGUAGES, "Shop")
    (component,) = found.components
    assert component.name == {"fr": "Laden", "de": "Laden", "it": "Laden", "en": "Shop"}
    assert (found.language, found.url, found.contact, found.groups[0].id) == ("fr", "", "", "group-1")
    assert found.targets == {"app-1", "app-2"}


def test_the_example_shows_the_target_that_garant_up_probes() -> None:
    demo = load_probes(Path("services/cli/demo/probes.yaml").resolve())
    assert load(None).targets == {target.target for target in demo.targets}
    assert load(EXAMPLE) == load(None)


def test_hostile_names_are_carried_as_they_are() -> None:
    name = "<script>alert(1)</script>\u202e" + "x" * 9_970
    found = parse(
        f"vendor: A\nproduct: B\ngroups: [{{components: [{{id: a, name: '{name}', targets: [t]}}]}}]", "f"
    )
    assert found.components[0].name["it"] == name


def test_a_target_may_stand_in_two_components() -> None:
    text = PLAIN + "      - {id: desk, name: Desk, targets: [app-1]}\n"
    assert [one.id for one in parse(text, "page.yaml").components] == ["shop", "desk"]


@pytest.mark.parametrize(
    ("old", "new", "told"),
    [
        ("id: shop", "id: Shop 1", "6: groups[0].components[0].id: 'Shop 1' is not allowed; 1 to 40 of a-z"),
        ("id: shop", "id: " + "a" * 41, "6: groups[0].components[0].id: 'aaaa"),
        ("id: shop", "nr: shop", "6: groups[0].components[0].id: is missing"),
        ("id: shop", "{id: 7}", "not YAML"),
        ("[app-1, app-2]", "[]", "8: groups[0].components[0].targets: is empty; at least one"),
        ("[app-1, app-2]", "[a, a]", "8: groups[0].components[0].targets: a stands twice"),
        ("[app-1, app-2]", "[7]", "8: groups[0].components[0].targets[0]: 7 is not allowed; a valid string"),
        ("{de: Laden, en: Shop}", "''", "7: groups[0].components[0].name: is empty"),
        ("{de: Laden, en: Shop}", "{rm: Butia}", "name: rm: not a language of the page; fr, de, it, en"),
        ("{de: Laden, en: Shop}", "x" * 10_001, "name: 10001 characters are not allowed; at most 10000"),
        ("vendor: Acme", "vendr: Acme", "2: vendr: is not known; allowed here: contact, groups, language"),
        ("vendor: Acme", "vendor: 3", "2: vendor: 3 is not allowed; a valid string; put it between quotes"),
        ("vendor: Acme", "vendor: A\nvendor: B", "3: vendor: stands twice; once"),
        ("vendor: Acme", "vendor: A\nurl: status.example", "3: url: 'status.example' is not allowed; https://"),
        ("vendor: Acme", "vendor: A\ncontact: javascript:alert(1)", "3: contact: 'javascript:alert(1)' is"),
        ("vendor: Acme", "vendor: A\nlanguage: es", "3: language: 'es' is not allowed; one of fr, de"),
        ("groups:", "groups: []\nold:", "4: groups: is empty; at least one"),
    ],
)  # fmt: skip
def test_a_mistake_is_told_with_its_line_and_what_is_allowed(old: str, new: str, told: str) -> None:
    found = mistakes(PLAIN.replace(old, new))
    assert any(told in mistake for mistake in found), found
    assert all(mistake.startswith("page.yaml:") for mistake in found)


def test_an_id_that_stands_twice_is_told_with_where_it_stood() -> None:
    text = PLAIN + "  - id: more\n    components:\n      - {id: shop, name: Again, targets: [b]}\n"
    assert mistakes(text) == (
        "page.yaml:11: groups[1].components[0].id: component shop stands at groups[0].components[0] before; "
        "each id once",
    )


def test_a_file_that_is_not_there_is_told_with_the_setting(tmp_path: Path) -> None:
    with pytest.raises(ConfigurationInvalid, match=r"cannot be read.*GARANT_STATUS_CONFIG"):
        load(tmp_path / "none.yaml")


@pytest.mark.parametrize("text", ["", "- a", "just words", "a: [", "\0"])
def test_what_is_no_configuration_at_all_is_told_in_a_line(text: str) -> None:
    assert len(mistakes(text)) == 1


def test_everything_has_its_place_without_settings(
    clean_environment: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    settings = StatusSettings()
    assert settings.folder_path(tmp_path) == tmp_path / "status"
    assert settings.engine_url(tmp_path) == f"sqlite:///{tmp_path / 'status.db'}"
    assert settings.service_url() == "http://127.0.0.1:28088"
    assert settings.silent_after_ms == 90 * 60_000
    clean_environment.setenv("GARANT_STATUS_URL", "http://page.inner:1/")
    assert StatusSettings().service_url() == "http://page.inner:1"
