"""The pages over HTTP, from the files of the folder.

What is not there, whatever it is, is answered with the same bytes: nobody learns what exists by asking.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, MutableMapping
from typing import Any, TypeAlias

from services.status.serving.kept_files import PAGE, Folder, Kept, Message
from services.status.serving.negotiating import language_wanted, takes_gzip

Scope: TypeAlias = MutableMapping[str, Any]
Receive: TypeAlias = Callable[[], Awaitable[Message]]
Send: TypeAlias = Callable[[Message], Awaitable[None]]
App: TypeAlias = Callable[[Scope, Receive, Send], Awaitable[None]]

_NOT_THERE = b"<!doctype html><html lang=en><meta charset=utf-8><title>404</title><p>There is no such page.\n"


def serve_folder(folder: Folder, forms: App | None = None, prefixes: tuple[str, ...] = ()) -> App:
    """The public application: GET and HEAD of the folder's files. `forms` answers every POST, and what
    begins with one of `prefixes`, under the same security headers. `/` goes to the reader's language."""

    async def application(scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            return
        path, method = scope["path"], scope["method"]
        if forms is not None and (method == "POST" or (prefixes and path.startswith(prefixes))):
            await _formed(folder, forms, scope, receive, send)
            return
        if method not in ("GET", "HEAD"):
            await _no_method(folder, method, send)
            return
        coding = wanted = b""
        for name, value in scope["headers"]:
            if name == b"if-none-match":
                wanted = value
            elif name == b"accept-encoding":
                coding = value
        if path == "/" and (language := _language(folder, scope)):
            await _go(folder, send, f"/{language}/", b"Accept-Language")
            return
        kept = folder.find(path)
        if kept is None:
            if folder.has_folder(path):
                await _go(folder, send, path + "/")
            else:
                await not_there(folder, send, head=method == "HEAD")
            return
        form = kept.packed if takes_gzip(coding) else kept.plain
        if wanted and (wanted == form.etag or _same(wanted, kept)):
            await send(form.unchanged)
            await send(_NOTHING)
            return
        if path == "/":
            await send(_varying(form.found))
        else:
            await send(form.found)
        await send(_NOTHING if method == "HEAD" else {"type": "http.response.body", "body": form.body})

    return application


_NOTHING: Message = {"type": "http.response.body", "body": b""}


def _same(wanted: bytes, kept: Kept) -> bool:
    """Whether a list of ETags names the file; weakly compared, as for GET (RFC 9110, 13.1.2)."""
    if wanted.strip() == b"*":
        return True
    named = {one.strip().removeprefix(b"W/") for one in wanted.split(b",")}
    return kept.plain.etag in named or kept.packed.etag in named


def _varying(found: Message) -> Message:
    headers = [
        (name, b"Accept-Encoding, Accept-Language" if name == b"vary" else value)
        for name, value in found["headers"]
    ]
    return {**found, "headers": headers}


def _language(folder: Folder, scope: Scope) -> str | None:
    """The reader's language where there are pages in it; None leaves the default page."""
    accepted = b",".join(value for name, value in scope["headers"] if name == b"accept-language")
    found = language_wanted(accepted.decode("latin-1"))
    return found if found and folder.find(f"/{found}/") is not None else None


async def _go(folder: Folder, send: Send, path: str, vary: bytes = b"") -> None:
    headers = [(b"location", path.encode()), (b"cache-control", PAGE), (b"content-length", b"0")]
    headers += [(b"vary", vary)] if vary else []
    status = 302 if vary else 308
    await send({"type": "http.response.start", "status": status, "headers": [*headers, *folder.security]})
    await send(_NOTHING)


async def not_there(folder: Folder, send: Send, *, head: bool = False) -> None:
    """The one answer to everything that does not exist."""
    page = folder.find("/404.html")
    body = _NOT_THERE if page is None else page.plain.body
    headers = [
        (b"content-type", b"text/html; charset=utf-8"),
        (b"cache-control", b"public, max-age=10"),
        (b"content-length", str(len(body)).encode()),
        (b"access-control-allow-origin", b"*"),
        *folder.security,
    ]
    await send({"type": "http.response.start", "status": 404, "headers": headers})
    await send(_NOTHING if head else {"type": "http.response.body", "body": body})


async def _no_method(folder: Folder, method: str, send: Send) -> None:
    """Programs of other origins ask first before they send If-None-Match; nothing else is done here."""
    headers = [(b"allow", b"GET, HEAD, OPTIONS"), (b"content-length", b"0"), *folder.security]
    if method == "OPTIONS":
        headers += [
            (b"access-control-allow-origin", b"*"),
            (b"access-control-allow-methods", b"GET, HEAD"),
            (b"access-control-allow-headers", b"If-None-Match"),
            (b"access-control-max-age", b"86400"),
        ]
    status = 204 if method == "OPTIONS" else 405
    if status == 204:
        headers.remove((b"content-length", b"0"))
    await send({"type": "http.response.start", "status": status, "headers": headers})
    await send(_NOTHING)


async def _formed(folder: Folder, forms: App, scope: Scope, receive: Receive, send: Send) -> None:
    """What `forms` says, never stored, under our headers; where it has nothing to say (an empty 404) the
    answer is as anywhere."""
    unknown = False

    async def guarded(message: Message) -> None:
        nonlocal unknown
        if message["type"] == "http.response.start":
            unknown = message["status"] == 404 and (b"content-length", b"0") in message.get("headers", ())
            if unknown:
                await not_there(folder, send, head=scope["method"] == "HEAD")
                return
            own = {name for name, _ in folder.security} | {b"cache-control"}
            kept = [one for one in message.get("headers", ()) if bytes(one[0]).lower() not in own]
            said = [*kept, (b"cache-control", b"no-store"), *folder.security]
            message = {**message, "headers": said}
        if not unknown:
            await send(message)

    await forms(scope, receive, guarded)
