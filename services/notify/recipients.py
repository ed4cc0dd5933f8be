"""Who is written to: the support service knows, and is asked each time, so that who was forgotten is not."""

from __future__ import annotations

from urllib.parse import quote

import httpx
import msgspec
from msgspec import Struct

_TIMEOUT_S = 10.0


class Contact(Struct, frozen=True):
    """A person letters go to; `contact` None is one of the staff."""

    contact: str | None
    name: str
    address: str
    language: str


class SupportAway(RuntimeError):
    """The support service did not say who is written to; the message says why and what helps."""


class _Said(Struct, frozen=True):
    contact: str
    address: str
    name: str | None = None
    language: str | None = None


_said = msgspec.json.Decoder(list[_Said])


async def letters_to(client: httpx.AsyncClient, url: str, token: str, account: str) -> list[Contact]:
    """The account's contacts who get letters; none where the service knows no such account.

    Raises SupportAway.
    """
    place = f"{url.rstrip('/')}/accounts/{quote(account, safe='')}/letters-to"
    try:
        answer = await client.get(place, headers={"Authorization": f"Bearer {token}"}, timeout=_TIMEOUT_S)
    except (httpx.HTTPError, httpx.InvalidURL) as error:
        raise SupportAway(
            f"support does not answer at {url} ({type(error).__name__}); start it, or set "
            "GARANT_NOTIFY_SUPPORT_URL to where it is"
        ) from None
    if answer.status_code == 404:
        return []
    if answer.status_code in (401, 403):
        raise SupportAway("support refuses our token; set GARANT_NOTIFY_SUPPORT_TOKEN to its token")
    if answer.status_code != 200:
        raise SupportAway(f"support answered {answer.status_code} at {url}; see its log")
    try:
        found = _said.decode(answer.content)
    except msgspec.DecodeError as error:
        raise SupportAway(
            f"what answers at {url} is not support ({error}); set GARANT_NOTIFY_SUPPORT_URL to where it is"
        ) from None
    return [Contact(one.contact, one.name or "", one.address, one.language or "") for one in found]
