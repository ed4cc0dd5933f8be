"""Badges: a small SVG image that says a component's condition, or the whole's, in words and colour."""

from __future__ import annotations

from xml.sax.saxutils import escape, quoteattr

from services.status.pages.language import Speech
from services.status.pages.overall import State, overall, state_of
from services.status.pages.texts import line
from services.status.site import Component, Site

_COLOURS: dict[State, str] = {
    "up": "#1a7346",
    "down": "#b3261e",
    "unmeasured": "#586374",
    "silent": "#586374",
    "maintenance": "#1c5aa6",
    "incident": "#8a5300",
    "nothing": "#586374",
}
_LONGEST = 40


def overall_badge(site: Site, spoken: Speech) -> bytes:
    """The whole page's badge."""
    whole = overall(site)
    text = spoken.say(f"badge_{_WORD.get(whole.state, whole.state)}")
    if whole.state == "down" and whole.counts.down < whole.counts.total:
        text = spoken.say("badge_partly", n=whole.counts.down)
    return _badge(spoken.say("badge_label"), text, whole.state)


_WORD = {"incident": "up", "nothing": "silent"}


def component_badge(component: Component, spoken: Speech) -> bytes:
    """A component's badge, under its name."""
    state = state_of(component)
    return _badge(
        line(spoken.pick(component.name), _LONGEST) or component.id, spoken.say(f"badge_{state}"), state
    )


def favicon(site: Site) -> bytes:
    """The page's sign in a browser's tab; its shape is the state's."""
    state = overall(site).state
    shape = {
        "up": '<path d="M9 16.5l4.8 4.8L23.5 11"/>',
        "down": '<path d="M11 11l10 10m0-10L11 21"/>',
        "incident": '<path d="M16 9v9m0 4v1"/>',
        "maintenance": '<path d="M16 9v9m0 4v1"/>',
    }.get(state, '<path d="M10 16h12"/>')
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 32 32"><rect width="32" height="32" rx="8" '
        f'fill="{_COLOURS[state]}"/><g fill="none" stroke="#fff" stroke-width="3.4" stroke-linecap="round" '
        f'stroke-linejoin="round">{shape}</g></svg>\n'
    ).encode()


def _badge(label: str, value: str, state: State) -> bytes:
    left, right = _width(label), _width(value)
    name = f"{label}: {value}"
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" width="{left + right}" height="22" role="img" '
        f"aria-label={quoteattr(name)}><title>{escape(name)}</title>"
        f'<rect width="{left + right}" height="22" rx="4" fill="#2b3340"/>'
        f'<path d="M{left} 0h{right - 4}a4 4 0 0 1 4 4v14a4 4 0 0 1-4 4H{left}z" fill="{_COLOURS[state]}"/>'
        '<g fill="#fff" text-anchor="middle" font-size="12" '
        'font-family="system-ui,-apple-system,Segoe UI,Roboto,Helvetica,Arial,sans-serif" aria-hidden="true">'
        f'<text x="{left / 2:g}" y="15.5" textLength="{left - 16}" lengthAdjust="spacingAndGlyphs">'
        f"{escape(label)}</text>"
        f'<text x="{left + right / 2:g}" y="15.5" textLength="{right - 16}" lengthAdjust="spacingAndGlyphs">'
        f"{escape(value)}</text></g></svg>\n"
    ).encode()


def _width(text: str) -> int:
    """About how wide a text is (px), with its margins: the browser then makes it exactly so."""
    thin = sum(character in "iltjfr.,:;'|!() " for character in text)
    wide = sum(character in "mwMW…%" or ord(character) > 0x2E80 for character in text)
    return 16 + round((len(text) - thin - wide) * 6.8 + thin * 4.2 + wide * 11)
