"""A component's last days as bars and as rows of a table, each with its exact figure.

Shape says first what a bar says: up is solid; down is a wide head at the top; unmeasured is hollow; agreed
maintenance is a thin line; not yet watched is a dot; a dot below marks a correction. Joined by hand: there
are tens of thousands of them, nearly all alike.
"""

from __future__ import annotations

from datetime import date
from functools import lru_cache

from markupsafe import Markup, escape

from services.status.pages.language import Speech, speech
from services.status.pages.texts import trusted
from services.status.site import Component, Day, Figure, Language, Month

DAYS = 90
_STEP, _HEIGHT = 5, 32
_LEAST = {"down": 10, "unmeasured": 9, "excluded": 9}
_WIDTH = DAYS * _STEP


def bars(component: Component, spoken: Speech) -> Markup:
    """The bars as one SVG image; its label says what they amount to."""
    language = spoken.language
    days = component.days[-DAYS:]
    first = DAYS - len(days)
    drawn = [
        _plain_bar(language, day.day, index, day.over)
        if _plain(day)
        else _bar(spoken, day, (index) * _STEP + 1)
        for index, day in enumerate(days, first)
    ]
    if first:
        dots = "".join(f"M{index * _STEP + 1} {_HEIGHT - 3}h3v3h-3z" for index in range(first))
        drawn.insert(0, f'<path class="o" d="{dots}"/>')
    return trusted(
        f'<svg class="bars" viewBox="0 0 {_WIDTH} 37" preserveAspectRatio="none" role="img" '
        f'aria-label="{escape(summary(component, spoken))}">{"".join(drawn)}</svg>'
    )


def summary(component: Component, spoken: Speech) -> str:
    """The bars in a sentence: "Last 90 days: 2 with down time, 0 with unmeasured time."."""
    days = component.days[-DAYS:]
    watched = sum(1 for day in days if day.figure.window_ms > 0)
    return spoken.say(
        "bars_label",
        days=spoken.count("days", watched),
        down=sum(1 for day in days if day.figure.down_ms > 0),
        unmeasured=sum(1 for day in days if day.figure.unmeasured_ms > 0),
    )


def rows(component: Component, spoken: Speech) -> Markup:
    """The same days as rows of a table, newest first: day, uptime, measured, down time."""
    language = spoken.language
    watched = (day for day in reversed(component.days[-DAYS:]) if day.figure.window_ms > 0)
    made = (_plain_row(language, day.day, day.over) if _plain(day) else _row(spoken, day) for day in watched)
    return trusted("".join(made))


def month_rows(component: Component, spoken: Speech, way: str) -> Markup:
    """The months as rows of a table: month, result, uptime, measured, promise, down time. `way` leads to the
    language's folder."""
    return trusted("".join(_month_row(spoken.language, month, way) for month in component.months))


@lru_cache(maxsize=16_384)
def _month_row(language: Language, month: Month, way: str) -> str:
    spoken, figure = speech(language), month.figure
    result: str = "–"
    if month.met is not None:
        kept = "kept" if month.met else "missed"
        result = Markup('<span class="{}">{}</span>').format(kept, spoken.say(kept))
    return (
        f'<tr><th scope=row><a href="{way}history/{month.month:%Y-%m}/">{spoken.month(month.month)}</a>'
        f"{_marks(spoken, month.over, month.corrected)}"
        f"<td>{result}<td>{percent_or_dash(figure.uptime_percent, spoken)}"
        f"<td>{percent_or_dash(figure.coverage_percent, spoken)}"
        f"<td>{spoken.percent(month.target_percent)}"
        f"<td>{length_or_dash(figure.down_ms, spoken)}\n"
    )


def _marks(spoken: Speech, over: bool, corrected: bool) -> str:
    marks = "" if over else f" <small>{escape(spoken.say('so_far'))}</small>"
    if corrected:
        marks += f' <small class="corrected">{escape(spoken.say("corrected"))}</small>'
    return marks


def figure_text(figure: Figure, spoken: Speech, over: bool = True, corrected: bool = False) -> str:
    """A figure in words: "99.652 % up, down 5 min, 98.000 % measured, so far"."""
    if figure.window_ms <= 0:
        return spoken.say("figure_nothing")
    parts = []
    uptime, coverage = figure.uptime_percent, figure.coverage_percent
    if coverage is None:
        parts.append(spoken.say("figure_excluded"))
    elif uptime is None:
        parts.append(spoken.say("figure_unmeasured"))
    else:
        parts.append(spoken.say("figure_up", percent=spoken.percent(uptime)))
    if figure.down_ms > 0:
        parts.append(spoken.say("figure_down_for", length=spoken.length(figure.down_ms)))
    if uptime is not None and figure.unmeasured_ms > 0 and coverage is not None:
        parts.append(spoken.say("figure_coverage", percent=spoken.percent(coverage)))
    if coverage is not None and figure.excluded_ms > 0:
        parts.append(f"{spoken.say('figure_excluded')} {spoken.length(figure.excluded_ms)}")
    if not over:
        parts.append(spoken.say("figure_so_far"))
    if corrected:
        parts.append(spoken.say("corrected"))
    return ", ".join(parts)


def _plain(day: Day) -> bool:
    """Whether it is a day like nearly all: watched, measured and up throughout."""
    figure = day.figure
    return (
        not figure.down_ms
        and not figure.unmeasured_ms
        and not figure.excluded_ms
        and figure.window_ms > 0
        and not day.corrected
    )


_PLAIN = Figure(window_ms=1)


@lru_cache(maxsize=4_096)
def _plain_bar(language: Language, day: date, index: int, over: bool) -> str:
    return _bar(speech(language), Day(day=day, figure=_PLAIN, over=over), index * _STEP + 1)


@lru_cache(maxsize=4_096)
def _plain_row(language: Language, day: date, over: bool) -> str:
    return _row(speech(language), Day(day=day, figure=_PLAIN, over=over))


def _bar(spoken: Speech, day: Day, x: int) -> str:
    text = escape(
        f"{spoken.day_short(day.day)}{spoken.words['colon']}"
        f"{figure_text(day.figure, spoken, day.over, day.corrected)}"
    )
    shapes = _shapes(day.figure, x)
    if day.corrected:
        shapes.append(f'<path class="c" d="M{x} 34h3v3h-3z"/>')
    return f"<g><title>{text}</title>{''.join(shapes)}</g>"


def _shapes(figure: Figure, x: int) -> list[str]:
    if figure.window_ms <= 0:
        return [f'<path class="o" d="M{x} {_HEIGHT - 3}h3v3h-3z"/>']
    heights = {
        kind: max(_LEAST[kind], _HEIGHT * ms // figure.window_ms)
        for kind, ms in (
            ("down", figure.down_ms),
            ("unmeasured", figure.unmeasured_ms),
            ("excluded", figure.excluded_ms),
        )
        if ms > 0
    }
    up = figure.measured_ms - figure.down_ms > 0
    room = _HEIGHT - (4 if up else 0)
    over = sum(heights.values()) - room
    if heights and (over > 0 or not up):
        # The largest gives way to the least heights of the others, and takes what is left over.
        largest = max(heights, key=heights.__getitem__)
        heights[largest] -= over
    shapes, y = [], 0
    for kind, height in heights.items():
        if kind == "down":
            shapes.append(f'<path class="d" d="M{x - 1} {y}h5v{height}h-5z"/>')
        elif kind == "unmeasured":
            shapes.append(f'<path class="n" d="M{x}.5 {y}.5h2v{height - 1}h-2z"/>')
        else:
            shapes.append(f'<path class="m" d="M{x + 1} {y}h1v{height}h-1z"/>')
        y += height
    if up:
        top = y + 1 if y else 0
        shapes.append(f'<path class="u" d="M{x} {top}h3v{_HEIGHT - top}h-3z"/>')
    return shapes


def _row(spoken: Speech, day: Day) -> str:
    figure = day.figure
    return (
        f"<tr><th scope=row>{spoken.day_short(day.day)}{_marks(spoken, day.over, day.corrected)}"
        f"<td>{percent_or_dash(figure.uptime_percent, spoken)}"
        f"<td>{percent_or_dash(figure.coverage_percent, spoken)}"
        f"<td>{length_or_dash(figure.down_ms, spoken)}\n"
    )


def percent_or_dash(value: str | None, spoken: Speech) -> str:
    """A percentage; a dash where there is none."""
    return "–" if value is None else spoken.percent(value)


def length_or_dash(ms: int, spoken: Speech) -> str:
    """A length of time (ms); a dash for none."""
    return spoken.length(ms) if ms > 0 else "–"
