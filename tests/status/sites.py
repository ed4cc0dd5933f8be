"""Sites of every kind, made by hand: what pages are rendered from in tests, and looked at in a browser."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta
from random import Random

import msgspec

from services.status.site import (
    LANGUAGES,
    Cause,
    Change,
    Component,
    Condition,
    Cut,
    Day,
    Figure,
    Group,
    Incident,
    Maintenance,
    Month,
    Phase,
    Site,
    Texts,
    Update,
)

ZONE = "Europe/Zurich"
NOW = 1_795_887_010_000
"""28 November 2026, 18:30:10 in Zurich."""
TODAY = date(2026, 11, 28)
MINUTE, HOUR, DAY = 60_000, 3_600_000, 86_400_000

UP = Figure(window_ms=DAY)


def ms(text: str) -> int:
    """An instant (ms) of an RFC 3339 text in UTC."""
    return round(datetime.fromisoformat(text).replace(tzinfo=UTC).timestamp() * 1_000)


def same(text: str) -> Texts:
    """A text that is the same in each language."""
    return dict.fromkeys(LANGUAGES, text)


def said(fr: str, de: str, it: str, en: str) -> Texts:
    return {"fr": fr, "de": de, "it": it, "en": en}


def days(special: dict[int, Day | Figure] | None = None, watched: int = 90) -> tuple[Day, ...]:
    """90 days up to today; `special` by how many days ago; those before `watched` days were not watched."""
    made = []
    for ago in range(89, -1, -1):
        day = TODAY - timedelta(days=ago)
        figure = UP if ago else Figure(window_ms=18 * HOUR + 30 * MINUTE)
        if ago >= watched:
            figure = Figure(window_ms=0)
        found = (special or {}).get(ago, figure)
        made.append(
            msgspec.structs.replace(found, day=day, over=ago > 0)
            if isinstance(found, Day)
            else Day(day=day, figure=found, over=ago > 0)
        )
    return tuple(made)


def months(
    special: dict[int, Figure] | None = None, n: int = 13, corrected: tuple[int, ...] = ()
) -> tuple[Month, ...]:
    """This month and those before it, newest first; `special` by how many months ago."""
    made = []
    for ago in range(n):
        month = date(2026 - (ago > 10), (11 - ago - 1) % 12 + 1, 1)
        figure = (special or {}).get(ago, Figure(window_ms=(30 if ago else 27) * DAY))
        made.append(
            Month(
                month=month,
                figure=figure,
                target_percent="99.5",
                met=figure.down_ms * 1_000 <= figure.measured_ms * 5 if figure.measured_ms else None,
                over=ago > 0,
                corrected=ago in corrected,
            )
        )
    return tuple(made)


def component(
    name: str,
    texts: Texts,
    group: str = "app",
    condition: Condition = Condition.UP,
    *,
    description: Texts | None = None,
    since: int | None = NOW - 40 * DAY,
    special: dict[int, Day | Figure] | None = None,
    special_months: dict[int, Figure] | None = None,
    watched: int = 90,
    n: int = 13,
    cuts: tuple[Cut, ...] = (),
    maintenance_now: bool = False,
    corrected: tuple[int, ...] = (),
) -> Component:
    return Component(
        id=name,
        name=texts,
        description=description or same(""),
        group=group,
        condition=condition,
        since=since,
        as_of=None if since is None else NOW - 20_000,
        days=days(special, watched),
        months=months(special_months, n, corrected),
        cuts=cuts,
        maintenance_now=maintenance_now,
    )


def site(
    components: list[Component],
    groups: tuple[Group, ...] | None = None,
    *,
    product: str = "Fjord",
    vendor: str = "Fjord Software AG",
    url: str = "https://status.fjord.example",
    incidents: tuple[Incident, ...] = (),
    maintenance: tuple[Maintenance, ...] = (),
    changes: tuple[Change, ...] = (),
    silent: bool = False,
    written_at: int = NOW,
    news_at: int | None = NOW - 20_000,
) -> Site:
    by_month: dict[date, tuple[Change, ...]] = {}
    for change in sorted(changes, key=lambda one: -one.at):
        month = datetime.fromtimestamp(change.at / 1_000, tz=UTC).date().replace(day=1)
        by_month[month] = (*by_month.get(month, ()), change)
    return Site(
        vendor=vendor,
        product=same(product),
        url=url,
        contact="support@fjord.example",
        zone=ZONE,
        written_at=written_at,
        news_at=news_at,
        silent=silent,
        silent_after_ms=90 * MINUTE,
        groups=groups
        or (
            Group(
                "app",
                said("Application", "Anwendung", "Applicazione", "Application"),
                _ids(components, "app"),
            ),
            Group("data", said("Données", "Daten", "Dati", "Data"), _ids(components, "data")),
        ),
        components={one.id: one for one in components},
        incidents=incidents,
        maintenance=maintenance,
        changes=by_month,
    )


def _ids(components: list[Component], group: str) -> tuple[str, ...]:
    return tuple(one.id for one in components if one.group == group)


WEB = said("Application web", "Web-Anwendung", "Applicazione web", "Web application")
API = said("Interface de programmation (API)", "Programmierschnittstelle (API)", "Interfaccia (API)", "API")
MAIL = said("Envoi d’e-mails", "E-Mail-Versand", "Invio di e-mail", "Outgoing mail")
BASE = said("Base de données", "Datenbank", "Banca dati", "Database")
FILES = said("Stockage des fichiers", "Dateiablage", "Archivio dei file", "File storage")
WEB_IS = said(
    "Ce que vous ouvrez dans le navigateur.",
    "Was Sie im Browser öffnen.",
    "Ciò che aprite nel browser.",
    "What you open in your browser.",
)

OLD_CUT = Cut("k1", "web", NOW - 19 * DAY, NOW - 19 * DAY + 47 * MINUTE, 47 * MINUTE, (Cause.TIMEOUT,))
OLD_CHANGES = (
    Change(
        "a1", "web", NOW - 19 * DAY, Condition.DOWN, Condition.UP, NOW - 19 * DAY + MINUTE, (Cause.TIMEOUT,)
    ),
    Change(
        "a2", "web", NOW - 19 * DAY + 47 * MINUTE, Condition.UP, Condition.DOWN, NOW - 19 * DAY + 48 * MINUTE
    ),
    Change("a3", "mail", NOW - 33 * DAY, Condition.UNMEASURED, Condition.UP, NOW - 33 * DAY),
    Change(
        "a4", "mail", NOW - 33 * DAY + 5 * HOUR, Condition.UP, Condition.UNMEASURED, NOW - 33 * DAY + 5 * HOUR
    ),
)


def usual() -> list[Component]:
    """Five components in two groups with the past of any product; all up now."""
    return [
        component(
            "web",
            WEB,
            description=WEB_IS,
            since=NOW - 19 * DAY + 47 * MINUTE,
            special={19: Figure(window_ms=DAY, down_ms=47 * MINUTE)},
            special_months={0: Figure(window_ms=27 * DAY + 18 * HOUR, down_ms=47 * MINUTE)},
            cuts=(OLD_CUT,),
        ),
        component("api", API, special={61: Figure(window_ms=DAY, down_ms=5 * HOUR)}),
        component(
            "mail",
            MAIL,
            special={33: Figure(window_ms=DAY, unmeasured_ms=5 * HOUR)},
            special_months={1: Figure(window_ms=31 * DAY + HOUR, unmeasured_ms=5 * HOUR)},
        ),
        component("base", BASE, "data", special={40: Figure(window_ms=DAY, excluded_ms=2 * HOUR)}),
        component("files", FILES, "data", watched=38, n=2),
    ]


def all_up() -> Site:
    return site(usual(), changes=OLD_CHANGES)


def one_down() -> Site:
    """The API is down; staff write about it."""
    every = usual()
    since = NOW - 25 * MINUTE
    cut = Cut("k2", "api", since, None, 24 * MINUTE, (Cause.REFUSED, Cause.TIMEOUT))
    every[1] = msgspec.structs.replace(
        every[1],
        condition=Condition.DOWN,
        since=since,
        cuts=(cut,),
        days=days(
            {
                61: Figure(window_ms=DAY, down_ms=5 * HOUR),
                0: Figure(18 * HOUR + 30 * MINUTE, 0, 0, 24 * MINUTE),
            }
        ),
        months=months({0: Figure(window_ms=27 * DAY + 18 * HOUR, down_ms=24 * MINUTE)}),
    )
    down = Change(
        "b1", "api", since, Condition.DOWN, Condition.UP, since + MINUTE, (Cause.REFUSED, Cause.TIMEOUT)
    )
    return site(every, changes=(*OLD_CHANGES, down), incidents=(OUTAGE, PAST_INCIDENT))


OUTAGE = Incident(
    "i-2",
    said(
        "L’API refuse les connexions",
        "Die API lehnt Verbindungen ab",
        "L’API rifiuta le connessioni",
        "The API refuses connections",
    ),
    "major",
    ("api",),
    NOW - 20 * MINUTE,
    None,
    (
        Update(
            "u3",
            NOW - 6 * MINUTE,
            "identified",
            said(
                "La cause est trouvée : une règle de pare-feu erronée. Nous la corrigeons.",
                "Die Ursache ist gefunden: eine falsche Firewall-Regel. Wir berichtigen sie.",
                "La causa è stata trovata: una regola errata del firewall. La stiamo correggendo.",
                "We have found the cause: a wrong firewall rule. We are correcting it.",
            ),
        ),
        Update(
            "u2",
            NOW - 20 * MINUTE,
            "investigating",
            said(
                "Depuis 18 h 05, l’API n’accepte plus de connexions. L’application web n’est pas touchée.\n\n"
                "Nous cherchons la cause et écrirons à nouveau ici dans 30 minutes au plus tard.",
                "Seit 18.05 Uhr nimmt die API keine Verbindungen an. Die Web-Anwendung ist nicht betroffen."
                "\n\nWir suchen die Ursache und schreiben hier spätestens in 30 Minuten wieder.",
                "Dalle 18.05 l’API non accetta più connessioni. L’applicazione web non è interessata.\n\n"
                "Stiamo cercando la causa e scriveremo di nuovo qui entro 30 minuti.",
                "Since 18:05 the API has not accepted connections. The web application is not affected.\n\n"
                "We are looking for the cause and will write here again within 30 minutes.",
            ),
        ),
    ),
)
PAST_INCIDENT = Incident(
    "i-1",
    said(
        "Application web lente",
        "Web-Anwendung antwortet nicht",
        "Applicazione web non raggiungibile",
        "Web application did not answer",
    ),
    "critical",
    ("web",),
    NOW - 19 * DAY + 5 * MINUTE,
    NOW - 19 * DAY + HOUR,
    (
        Update(
            "u1",
            NOW - 19 * DAY + HOUR,
            "resolved",
            said("C’est réparé.", "Es ist behoben.", "È riparato.", "It is repaired."),
        ),
        Update(
            "u0",
            NOW - 19 * DAY + 5 * MINUTE,
            "investigating",
            said("Nous cherchons.", "Wir suchen.", "Stiamo cercando.", "We are looking into it."),
        ),
    ),
)


def unmeasured() -> Site:
    """One cannot be measured; nobody says up or down of it."""
    every = usual()
    every[2] = msgspec.structs.replace(
        every[2],
        condition=Condition.UNMEASURED,
        since=NOW - 3 * HOUR,
        days=days(
            {
                0: Figure(window_ms=18 * HOUR + 30 * MINUTE, unmeasured_ms=3 * HOUR),
                33: Figure(window_ms=DAY, unmeasured_ms=DAY),
                34: Figure(window_ms=DAY, unmeasured_ms=DAY),
                35: Figure(window_ms=DAY, unmeasured_ms=9 * HOUR, down_ms=4 * HOUR),
            }
        ),
        months=months({1: Figure(window_ms=31 * DAY, unmeasured_ms=2 * DAY + 9 * HOUR, down_ms=4 * HOUR)}),
    )
    seen = Change("c1", "mail", NOW - 3 * HOUR, Condition.UNMEASURED, Condition.UP, NOW - 3 * HOUR)
    return site(every, changes=(*OLD_CHANGES, seen))


def silent() -> Site:
    """No news for hours."""
    every = [
        msgspec.structs.replace(one, condition=Condition.SILENT, since=NOW - 5 * HOUR, as_of=NOW - 5 * HOUR)
        for one in usual()
    ]
    return site(every, changes=OLD_CHANGES, silent=True, news_at=NOW - 5 * HOUR)


def maintenance() -> Site:
    """Maintenance runs, another is announced, one is done and one was cancelled."""
    every = usual()
    every[3] = msgspec.structs.replace(every[3], maintenance_now=True)
    works = (
        Maintenance(
            "m4",
            ("web", "api"),
            NOW + 4 * DAY,
            NOW + 4 * DAY + 2 * HOUR,
            NOW - 2 * DAY,
            Phase.ANNOUNCED,
            True,
        ),
        Maintenance(
            "m3", ("base",), NOW - 30 * MINUTE, NOW + 90 * MINUTE, NOW - 6 * DAY, Phase.RUNNING, True
        ),
        Maintenance("m2", ("mail",), NOW - 5 * DAY, NOW - 5 * DAY, NOW - 9 * DAY, Phase.CANCELLED, True),
        Maintenance(
            "m1", ("base",), NOW - 40 * DAY, NOW - 40 * DAY + 2 * HOUR, NOW - 50 * DAY, Phase.DONE, False
        ),
    )
    return site(every, changes=OLD_CHANGES, maintenance=works)


def corrected() -> Site:
    """A person has corrected the past: a cut that was none, and one that nobody had seen."""
    every = usual()
    day = Day(TODAY, Figure(window_ms=DAY, down_ms=3 * HOUR), corrected=True)
    cut = Cut("k3", "web", NOW - 12 * DAY, NOW - 12 * DAY + 3 * HOUR, 3 * HOUR, (), corrected=True)
    every[0] = msgspec.structs.replace(
        every[0],
        days=days({12: day, 19: Day(TODAY, UP, corrected=True)}),
        months=months({0: Figure(window_ms=27 * DAY + 18 * HOUR, down_ms=4 * HOUR)}, corrected=(0,)),
        cuts=(cut,),
    )
    stated = (
        Change("d1", "web", NOW - 12 * DAY, Condition.DOWN, Condition.UP, NOW - 11 * DAY, (), True),
        Change(
            "d2", "web", NOW - 12 * DAY + 3 * HOUR, Condition.UP, Condition.DOWN, NOW - 11 * DAY, (), True
        ),
    )
    return site(every, changes=(*OLD_CHANGES[2:], *stated))


def nothing() -> Site:
    """Nothing is published yet."""
    return site([], (Group("app", same(""), ()),), news_at=None, silent=True)


HOSTILE = (
    "<script>alert(1)</script>",
    '"><img src=x onerror=alert(1)>',
    "\u202egnp.exe\u202c\u2066\u2069\u2069 نظام الدفع",
    "חשבוניות — חיוב",
    "A" * 10_000,
    "word " * 2_000,
    "\x00\x07\x1b[31m\ufffe\U0001ffff null & <b>bold</b>",
    "{{ 7 * 7 }} {% raw %} ${x} ]]> <!-- -->",
    "🏔️👩‍👩‍👧‍👦 Z̸̢͚̃a̷l̵g̶o̷",
    "",
)


def hostile() -> Site:
    """Names and texts that try to break out."""
    every = [component(f"h{index}", same(name), "") for index, name in enumerate(HOSTILE)]
    text = same("\n\n".join(HOSTILE))
    incidents = tuple(
        Incident(
            f"x{index}",
            same(name),
            "minor",
            tuple(one.id for one in every),
            NOW - HOUR,
            None,
            (Update(f"y{index}", NOW - HOUR + index, "monitoring", text),),
        )
        for index, name in enumerate(HOSTILE)
    )
    work = Maintenance(
        "m1", tuple(one.id for one in every), NOW + DAY, NOW + 2 * DAY, NOW - DAY, Phase.ANNOUNCED, False
    )
    changes = tuple(
        Change(
            f"z{index}", one.id, NOW - HOUR - index, Condition.DOWN, Condition.UP, NOW - HOUR, (Cause.OTHER,)
        )
        for index, one in enumerate(every)
    )
    groups = (Group("g", same(HOSTILE[2]), tuple(one.id for one in every)),)
    return site(
        every,
        groups,
        product=HOSTILE[0],
        vendor=HOSTILE[2],
        incidents=incidents,
        maintenance=(work,),
        changes=changes,
    )


def many(n: int = 500, groups: int = 20, seed: int = 1, rough: float = 0.05) -> Site:
    """`n` components in groups; `rough` is the share of days that were not plainly up."""
    chance = Random(seed)
    every = []
    changes = []
    for index in range(n):
        special: dict[int, Day | Figure] = {}
        for ago in range(1, 90):
            if chance.random() < rough:
                special[ago] = Figure(
                    window_ms=DAY,
                    down_ms=chance.randrange(1, 5 * HOUR),
                    unmeasured_ms=chance.choice((0, chance.randrange(1, 6 * HOUR))),
                )
        condition = (
            Condition.DOWN if index % 167 == 3 else Condition.UNMEASURED if index % 211 == 9 else Condition.UP
        )
        every.append(
            component(
                f"c{index}", same(f"Service {index:03d}"), f"g{index % groups}", condition, special=special
            )
        )
        at = NOW - index * 37 * MINUTE
        changes.append(Change(f"q{index}", f"c{index}", at, Condition.UP, Condition.DOWN, at + MINUTE))
    made = tuple(
        Group(
            f"g{number}",
            same(f"Region {number:02d}"),
            tuple(f"c{index}" for index in range(number, n, groups)),
        )
        for number in range(groups)
    )
    return site(every, made, changes=tuple(changes))


ALL = {
    "all-up": all_up,
    "one-down": one_down,
    "unmeasured": unmeasured,
    "silent": silent,
    "maintenance": maintenance,
    "corrected": corrected,
    "nothing": nothing,
    "hostile": hostile,
    "many": many,
}
