"""Was it a machine that wrote? A machine is never answered by a machine (RFC 3834)."""

from __future__ import annotations

from typing import Literal

from shared.mail.parts import Headers, content_type

Automatic = Literal["auto-reply", "auto-generated", "bounce", "report", "list", "bulk"]

_NO = ("", "no", "none", "false", "0")
_MACHINES = ("mailer-daemon", "postmaster")


def automatic(headers: Headers, sender: str | None, null_path: bool) -> tuple[Automatic, str] | None:
    """What kind of machine wrote the mail and by which header one knows; None: probably a person.

    X-Auto-Response-Suppress is no sign of a machine: people's mails carry it too (Exchange adds it to what
    its rules say, and some clients to everything). It is a wish: see `reply_unwanted`.
    """
    kind, parameters = content_type(headers)
    if kind == "multipart/report":
        reports = parameters.get("report-type", "").lower()
        return ("bounce" if reports == "delivery-status" else "report"), "Content-Type"
    local = (sender or "").rpartition("@")[0].lower()
    if local in _MACHINES:
        return "bounce", "From"
    said = _word(headers, "auto-submitted")
    if said not in _NO:
        return ("auto-reply" if said == "auto-replied" else "auto-generated"), "Auto-Submitted"
    for name in ("x-autoreply", "x-autorespond", "x-autoresponder"):
        if _word(headers, name, "no") not in _NO:
            return "auto-reply", name.title()
    precedence = _word(headers, "precedence")
    if precedence in ("auto_reply", "auto-reply"):
        return "auto-reply", "Precedence"
    for name in ("list-id", "list-post", "list-unsubscribe"):
        if headers.first(name) is not None:
            return "list", name.title()
    if precedence == "list":
        return "list", "Precedence"
    if precedence in ("bulk", "junk"):
        return "bulk", "Precedence"
    if headers.first("x-loop") is not None:
        return "auto-generated", "X-Loop"
    if null_path:
        return "bounce", "Return-Path"
    return None


def reply_unwanted(headers: Headers) -> bool:
    """Whether the sender asks that no machine answers ([MS-OXCMAIL] 2.1.3.2.20); DR and the like ask for
    other things."""
    wishes = {wish.strip().lower() for wish in (headers.first("x-auto-response-suppress") or "").split(",")}
    return bool(wishes & {"all", "autoreply"})


def _word(headers: Headers, name: str, default: str = "") -> str:
    """The value's first word; `default` where there is no such header, "yes" where it is empty."""
    value = headers.first(name)
    if value is None:
        return default
    return value.partition(";")[0].strip().lower() or ("yes" if default else "")
