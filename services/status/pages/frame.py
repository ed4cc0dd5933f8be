"""What all pages have around their content: head, navigation, "as of", footer; how templates are filled."""

from __future__ import annotations

import hashlib
import re
from datetime import date
from functools import cache
from importlib.resources import files
from urllib.parse import urlsplit

from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup
from msgspec import Struct

from services.status.pages import texts
from services.status.pages.bars import length_or_dash, percent_or_dash
from services.status.pages.language import SPEECHES, Speech, speech
from services.status.pages.lines import icon
from services.status.site import Language, Site
from shared.calendar import local_date, month_of

_STAMP = re.compile(rb'<time id="as-of" .*?</time>')


class Where(Struct, frozen=True):
    """A page's place: `root` leads from it to the folder's root, `rest` is its path below the language
    (None: it has none of its own in other languages)."""

    root: str
    rest: str | None
    way: str
    """Leads from the page to its language's folder."""


def below(rest: str) -> Where:
    """The place of `index.html` in `rest` of a language's folder ("", "components/web/")."""
    depth = rest.count("/")
    return Where(root="../" * (depth + 1), rest=rest, way="../" * depth)


def root_of(site: Site) -> str:
    """The path that the site's address has: "/", "/status/"."""
    return urlsplit(site.url).path.rstrip("/") + "/"


def stamped(page: bytes, site: Site, language: Language) -> bytes:
    """A rendered page, true as of the Site's `written_at`."""
    return _STAMP.sub(stamp(site, speech(language)).encode().replace(b"\\", b"\\\\"), page, count=1)


def stamp(site: Site, spoken: Speech) -> Markup:
    """As of when a page is true."""
    return texts.trusted(
        str(spoken.when(site.written_at, site.zone)).replace("<time ", '<time id="as-of" ', 1)
    )


def first_of(ms: int, zone: str) -> date:
    """The first day of the local month of an instant (ms)."""
    return month_of(local_date(ms, zone))


@cache
def stylesheet_text() -> bytes:
    return files("services.status.pages").joinpath("style.css").read_bytes()


@cache
def stylesheet() -> str:
    """The stylesheet's name in the folder: another one for other content."""
    return f"style.{hashlib.sha256(stylesheet_text()).hexdigest()[:10]}.css"


def title_of(site: Site, spoken: Speech) -> str:
    return spoken.say("title", product=spoken.label(site.product) or texts.line(site.vendor))


def page(
    site: Site,
    spoken: Speech,
    template: str,
    where: Where,
    *,
    title: str,
    about: str = "",
    here: str = "",
    times: bool = True,
    hidden: bool = False,
    **content: object,
) -> bytes:
    silent_text = ""
    if site.silent and site.components:
        silent_text = (
            spoken.say("silent_never")
            if site.news_at is None
            else spoken.mark("silent_since", time=spoken.when(site.news_at, site.zone))
        )
    month = first_of(site.written_at, site.zone)
    text = (
        _templates()
        .get_template(template)
        .render(
            spoken=spoken,
            speeches=SPEECHES,
            root=where.root,
            rest=where.rest,
            way=where.way,
            address=f"{site.url}/" if site.url else "",
            history_link=f"{where.way}history/{month:%Y-%m}/",
            here=here,
            hidden=hidden,
            times=times,
            title=title,
            about=about,
            stylesheet=stylesheet(),
            product=spoken.label(site.product) or texts.line(site.vendor),
            vendor=texts.line(site.vendor),
            zone=site.zone,
            contact=texts.line(site.contact),
            contact_link=_contact_link(site.contact),
            silent_text=silent_text,
            silence=icon("silent") if silent_text else "",
            as_of=spoken.mark("as_of", time=stamp(site, spoken)),
            **content,
        )
    )
    return text.encode()


def _contact_link(contact: str) -> str:
    """Where a contact can be clicked: a web or mail address; "" for anything else."""
    if re.fullmatch(r"https?://[^\s\x00-\x1f]+", contact):
        return contact
    address = contact.removeprefix("mailto:")
    return f"mailto:{address}" if re.fullmatch(r"[\w.+-]+@[\w.-]+", address) else ""


def _paragraphs(text: str, most: int | None = None) -> list[str]:
    if most is not None and len(text) > most:
        text = text[: most - 1].rstrip() + "…"
    return texts.paragraphs(text)


@cache
def _templates() -> Environment:
    environment = Environment(
        loader=PackageLoader("services.status"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        auto_reload=False,
    )
    environment.globals.update(
        icon=icon,
        paragraphs=_paragraphs,
        percent=percent_or_dash,
        length=length_or_dash,
    )
    return environment


@cache
def legend(language: Language) -> Markup:
    return texts.trusted(_templates().get_template("legend.html").render(spoken=speech(language)))
