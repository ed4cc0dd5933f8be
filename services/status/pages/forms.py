"""Pages with a form, and answers to forms: asking to be written to, confirming, what is not there."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from markupsafe import Markup
from msgspec import Struct

from services.status.pages.frame import Where, below, page, title_of
from services.status.pages.language import speech
from services.status.pages.lines import called
from services.status.site import Language, Site

BOXES = 100
"""With more components than this the form offers groups."""


class AnswerForm(Struct, frozen=True):
    """A button of an answer: where it posts, what it says, and hidden fields."""

    action: str
    button: str
    fields: Mapping[str, str] = {}


def subscribe_page(site: Site, language: Language) -> bytes:
    """The form by which people ask to be written to."""
    spoken = speech(language)
    by_group = len(site.components) > BOXES
    choices = (
        [(group.id, spoken.label(group.name) or spoken.say("ungrouped")) for group in site.groups]
        if by_group
        else [(component.id, called(component, spoken)) for component in site.components.values()]
    )
    return page(
        site,
        spoken,
        "subscribe.html",
        below("subscribe/"),
        here="subscribe",
        times=False,
        title=f"{spoken.say('subscribe')} · {title_of(site, spoken)}",
        choices=choices,
        choice_name="group" if by_group else "component",
    )


def answer_page(
    site: Site,
    language: Language,
    title: str,
    paragraphs: Sequence[str],
    form: AnswerForm | None = None,
    root: str = "/",
) -> bytes:
    """An answer to a form in the page's look: plain texts, and a button where a person must agree."""
    return page(
        site,
        speech(language),
        "message.html",
        Where(root=root, rest=None, way=f"{root}{language}/"),
        hidden=True,
        times=False,
        title=title,
        heading=title,
        texts=paragraphs,
        form=form,
    )


def layout(site: Site, language: Language, title: str, body: Markup, root: str = "/") -> bytes:
    """The page's look around a body of one's own, which has its own h1."""
    spoken = speech(language)
    where = Where(root=root, rest=None, way=f"{root}{language}/")
    return page(site, spoken, "layout.html", where, hidden=True, times=False, title=title, body=body)


def missing_page(site: Site, language: Language, root: str = "/") -> bytes:
    """What every unknown address is answered with."""
    spoken = speech(language)
    return answer_page(site, language, spoken.say("missing_title"), [spoken.say("missing_text")], root=root)
