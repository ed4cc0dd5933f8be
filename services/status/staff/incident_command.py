"""`garant incident`: what staff write on the status page, through the service's HTTP API."""

from __future__ import annotations

import sys
from collections.abc import Iterable
from typing import Annotated, Any

import typer
from rich.console import Console

from services.status.calling import ask
from services.status.site import LANGUAGES
from shared.calling import part, plain, table
from shared.errors import NeedsAPerson

app = typer.Typer(
    no_args_is_help=True,
    help="Write on the status page: open an incident, add to it, resolve it.",
    pretty_exceptions_show_locals=False,
)

_SPOKEN = (
    'Plain text, with its language before it: --text "fr=Nous cherchons." --text "de=Wir suchen."; without '
    "a language it is English. One language stands in for those not given. - reads it from standard input."
)

Incident = Annotated[str, typer.Argument(metavar="INCIDENT")]
Text = Annotated[list[str], typer.Option("--text", metavar="[LANGUAGE=]TEXT", help=_SPOKEN)]
Impact = Annotated[str | None, typer.Option(help="none, minor, major or critical.")]
Status = Annotated[str | None, typer.Option(help="investigating, identified, monitoring or resolved.")]
Component = Annotated[
    list[str] | None, typer.Option("--component", help="Public id, as in the page's address; repeat it.")
]
When = Annotated[
    str | None, typer.Option("--at", metavar="INSTANT", help="When it happened (UTC); by default now.")
]
Key = Annotated[str | None, typer.Option("--key", help="Idempotency key: the same one says it only once.")]


class TwoTexts(NeedsAPerson):
    """One language was given twice."""


@app.command(name="open")
def open_(
    title: Annotated[
        list[str], typer.Option("--title", metavar="[LANGUAGE=]TITLE", help="One line, as with --text.")
    ],
    text: Text,
    impact: Annotated[str, typer.Option(help="none, minor, major or critical.")] = "minor",
    component: Component = None,
    status: Status = None,
    at: When = None,
    key: Key = None,
) -> None:
    """Open an incident."""
    body = {
        "title": _by_language(title),
        "text": _by_language(text),
        "impact": impact,
        "components": component,
        "status": status,
        "at": at,
    }
    _show(ask("POST", "/incidents", body, key))


@app.command()
def update(
    incident: Incident,
    text: Text,
    status: Status = None,
    impact: Impact = None,
    component: Component = None,
    at: When = None,
    key: Key = None,
) -> None:
    """Add words to an incident."""
    body = {
        "text": _by_language(text),
        "status": status,
        "impact": impact,
        "components": component,
        "at": at,
    }
    _show(ask("POST", f"/incidents/{part(incident)}/updates", body, key))


@app.command()
def resolve(incident: Incident, text: Text, at: When = None, key: Key = None) -> None:
    """Say that it is over."""
    body = {"text": _by_language(text), "at": at}
    _show(ask("POST", f"/incidents/{part(incident)}/resolve", body, key))


@app.command(name="list")
def list_(
    open: Annotated[bool, typer.Option("--open", help="Only those that last.")] = False,
    days: Annotated[int, typer.Option(help="How far back.", min=1, max=3_650)] = 90,
) -> None:
    """List incidents, the newest first."""
    rows = ask("GET", "/incidents", query={"open": open, "days": days})
    for row in rows:
        row["title"] = row["title"]["en"]
    table(("incident", "status", "impact", "components", "opened_at", "resolved_at", "title"), rows)


@app.command()
def show(incident: Incident) -> None:
    """Show an incident with all that was written, in every language."""
    _show(ask("GET", f"/incidents/{part(incident)}"))


def _by_language(given: Iterable[str]) -> dict[str, str]:
    """Texts by language from "fr=..."; without one of ours before it all is English. Raises TwoTexts."""
    found: dict[str, str] = {}
    for one in given:
        language, equals, text = one.partition("=")
        if not equals or language not in LANGUAGES:
            language, text = "en", one
        if language in found:
            raise TwoTexts(f"There are two texts in {language}; write one with its paragraphs.")
        found[language] = sys.stdin.read() if text == "-" else text
    return found


def _show(found: dict[str, Any]) -> None:
    console = Console(soft_wrap=True, markup=False, highlight=False)
    components = ", ".join(found["components"]) or "no component in particular"
    console.print(f"{found['incident']}: {found['status']}, impact {found['impact']} ({components})")
    console.print(f"opened {found['opened_at']}, resolved {found['resolved_at'] or '-'}; {found['url']}")
    _texts(console, "title", found["title"])
    for one in found["updates"]:
        console.print(f"\n{one['at']} {one['status']}")
        _texts(console, "", one["text"])


def _texts(console: Console, name: str, texts: dict[str, str]) -> None:
    """Each text once, with the languages it is shown in."""
    by_text: dict[str, list[str]] = {}
    for language, text in texts.items():
        by_text.setdefault(text, []).append(language)
    for text, languages in by_text.items():
        said = "\n  ".join(plain(line) for line in text.splitlines())
        console.print(f"  {name + ' ' if name else ''}{'/'.join(languages)}: {said}")
