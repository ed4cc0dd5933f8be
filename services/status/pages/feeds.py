"""The same entries as Atom (RFC 4287), RSS 2.0 and JSON Feed 1.1. They age only by news."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime
from email.utils import format_datetime
from xml.sax.saxutils import escape, quoteattr

import msgspec

from services.status.pages.entries import Entry, identity
from services.status.pages.language import Speech, machine
from services.status.pages.texts import line
from services.status.site import Site

_XML = '<?xml version="1.0" encoding="utf-8"?>\n'


def atom(site: Site, spoken: Speech, entries: Sequence[Entry]) -> bytes:
    """An Atom feed."""
    way = _way(site, spoken)
    parts = [
        f'{_XML}<feed xmlns="http://www.w3.org/2005/Atom" xml:lang="{spoken.tag}">\n'
        f"<id>{identity('change', f'feed/{site.url}/{spoken.language}')}</id>\n"
        f"<title>{escape(_title(site, spoken))}</title>\n"
        f"<subtitle>{escape(_description(site, spoken))}</subtitle>\n"
        f"<updated>{machine(_updated(site, entries))}</updated>\n"
        f"<author><name>{escape(line(site.vendor))}</name></author>\n"
        f'<link rel="self" type="application/atom+xml" href={quoteattr(f"{way}feed.atom")}/>\n'
        f'<link rel="alternate" type="text/html" href={quoteattr(way or "./")}/>\n'
    ]
    parts += [
        f"<entry>\n<id>{entry.id}</id>\n<title>{escape(entry.title)}</title>\n"
        f"<published>{machine(entry.at)}</published>\n<updated>{machine(entry.updated)}</updated>\n"
        f'<link rel="alternate" type="text/html" href={quoteattr(f"{way}{entry.link}")}/>\n'
        f'<category term="{entry.kind}"/>\n<content type="text">{escape(entry.text)}</content>\n</entry>\n'
        for entry in entries
    ]
    return f"{''.join(parts)}</feed>\n".encode()


def rss(site: Site, spoken: Speech, entries: Sequence[Entry]) -> bytes:
    """An RSS 2.0 feed."""
    way = _way(site, spoken)
    parts = [
        f'{_XML}<rss version="2.0" xmlns:atom="http://www.w3.org/2005/Atom">\n<channel>\n'
        f"<title>{escape(_title(site, spoken))}</title>\n"
        f"<link>{escape(way or './')}</link>\n"
        f"<description>{escape(_description(site, spoken))}</description>\n"
        f"<language>{spoken.tag.lower()}</language>\n"
        f"<lastBuildDate>{_rfc822(_updated(site, entries))}</lastBuildDate>\n"
        f'<atom:link rel="self" type="application/rss+xml" href={quoteattr(f"{way}feed.rss")}/>\n'
    ]
    parts += [
        f"<item>\n<title>{escape(entry.title)}</title>\n<link>{escape(f'{way}{entry.link}')}</link>\n"
        f'<guid isPermaLink="false">{entry.id}</guid>\n<pubDate>{_rfc822(entry.at)}</pubDate>\n'
        f"<category>{entry.kind}</category>\n<description>{escape(escape(entry.text))}</description>\n</item>\n"
        for entry in entries
    ]
    return f"{''.join(parts)}</channel>\n</rss>\n".encode()


def json_feed(site: Site, spoken: Speech, entries: Sequence[Entry]) -> bytes:
    """A JSON Feed 1.1."""
    way = _way(site, spoken)
    feed = {
        "version": "https://jsonfeed.org/version/1.1",
        "title": _title(site, spoken),
        "description": _description(site, spoken),
        "language": spoken.tag,
        "home_page_url": way or "./",
        "feed_url": f"{way}feed.json",
        "authors": [{"name": line(site.vendor)}],
        "items": [
            {
                "id": entry.id,
                "url": f"{way}{entry.link}",
                "title": entry.title,
                "content_text": entry.text,
                "date_published": machine(entry.at),
                "date_modified": machine(entry.updated),
                "tags": [entry.kind],
            }
            for entry in entries
        ],
    }
    return msgspec.json.encode(feed) + b"\n"


def _way(site: Site, spoken: Speech) -> str:
    """Leads to the language's folder: whole where the page knows its address, else relative."""
    return f"{site.url}/{spoken.language}/" if site.url else ""


def _title(site: Site, spoken: Speech) -> str:
    return spoken.say("feed_title", product=spoken.label(site.product) or line(site.vendor))


def _description(site: Site, spoken: Speech) -> str:
    return spoken.say("feed_description", product=spoken.label(site.product) or line(site.vendor))


def _updated(site: Site, entries: Sequence[Entry]) -> int:
    """The newest entry's time; without entries the day."""
    if entries:
        return max(entry.updated for entry in entries)
    return site.written_at - site.written_at % 86_400_000


def _rfc822(ms: int) -> str:
    return format_datetime(datetime.fromtimestamp(ms // 1_000, tz=UTC))
