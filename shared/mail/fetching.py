"""Fetching mails batch by batch; one that cannot be fetched is given up after three tries, alone."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import structlog
from imapclient.exceptions import IMAPClientError
from msgspec import Struct

from shared.mail.folder import Folder, Found, Mailbox
from shared.time import Instant

log = structlog.get_logger()

TRIES = 3
"""How often a mail is fetched before it is handed over without its content."""


class Delivery(Struct, frozen=True):
    """One mail as fetched. `received_at` is when the mailbox got it (INTERNALDATE), `size` what the server
    says it has. `cut_short`: `raw` is only its beginning. `problem`: why `raw` is empty or partial."""

    uidvalidity: int
    uid: int
    received_at: Instant
    size: int
    raw: bytes
    cut_short: bool = False
    problem: str | None = None


def batches(mailbox: Mailbox, found: Sequence[Found], failed: dict[int, int]) -> Iterator[list[Found]]:
    """Cut by number and size; what failed before, or is too big, goes alone."""
    batch: list[Found] = []
    size = 0
    for one in found:
        alone = one.size > mailbox.max_bytes or one.uid in failed
        full = len(batch) >= mailbox.batch_messages or size + one.size > mailbox.batch_bytes
        if batch and (alone or full):
            yield batch
            batch, size = [], 0
        batch.append(one)
        size += one.size
        if alone:
            yield batch
            batch, size = [], 0
    if batch:
        yield batch


def fetched(
    folder: Folder, mailbox: Mailbox, uidvalidity: int, batch: list[Found], failed: dict[int, int]
) -> list[Delivery]:
    """The batch's mails, or those before the first that was not given.

    Raises what the server's failure raises. A mail's failures are counted once it was fetched alone; the
    last try asks for the beginning only: that may come even where the line breaks at the whole.
    """
    first = batch[0]
    tries = failed.get(first.uid, 0)

    def delivery(one: Found, raw: bytes, cut: bool = False, problem: str | None = None) -> Delivery:
        return Delivery(uidvalidity, one.uid, one.received_at, one.size, raw, cut, problem)

    if tries >= TRIES:
        log.error("mail.mailbox.unfetchable", uid=first.uid, uidvalidity=uidvalidity)
        return [delivery(first, b"", True, f"the mail server did not give it in {tries} tries")]
    for one in batch:
        failed[one.uid] = failed.get(one.uid, 0) + (len(batch) == 1)
    if len(batch) == 1 and (first.size > mailbox.max_bytes or tries == TRIES - 1):
        raw = folder.beginning(first.uid)
        if raw is None:
            raise IMAPClientError(f"the mail with uid {first.uid} was not given")
        cut = len(raw) >= mailbox.cut_bytes
        late = tries == TRIES - 1
        return [delivery(first, raw, cut, "only its beginning could be fetched" if cut and late else None)]
    raws = folder.fetch([one.uid for one in batch])
    given: list[Delivery] = []
    for one in batch:
        if one.uid not in raws:
            break
        given.append(delivery(one, raws[one.uid]))
    if not given:
        raise IMAPClientError(f"the mail with uid {first.uid} was not given")
    return given
