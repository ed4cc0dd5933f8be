"""What was read of the log, kept in a file: the next start goes on from there instead of from the beginning.

Losing it costs time and nothing else: a file that is damaged, of another version or of other targets is not
used, and the log is read from its beginning.
"""

from __future__ import annotations

from hashlib import sha256
from pathlib import Path
from typing import Final

import msgspec
import structlog

from services.status.configuration import Configuration
from services.status.history.standing import STATE_VERSION, Standing, State
from shared.codec import encode_state, state_decoder

log = structlog.get_logger()

_MAGIC: Final = b"garant status\n"
_DIGEST = 32
_state = state_decoder(State)


class _Unusable(ValueError):
    """Why the file is of no use."""


def open_standing(configuration: Configuration, path: Path, now_ms: int, silent_after_ms: int) -> Standing:
    """The page's fold, from the file at `path` where it can be used, else from nothing."""
    state: State | None = None
    try:
        state = read_state(path, configuration)
    except FileNotFoundError:
        log.info("status.state.none", path=str(path), next="reads the log from its beginning")
    except (_Unusable, OSError) as error:
        log.warning(
            "status.state.unusable", path=str(path), why=str(error), next="reads the log from its beginning"
        )
    return Standing(configuration, now_ms, silent_after_ms, state)


def read_state(path: Path, configuration: Configuration) -> State:
    """The state in the file. Raises ValueError where it is of no use, OSError where it cannot be read."""
    data = path.read_bytes()
    head = len(_MAGIC) + _DIGEST
    if not data.startswith(_MAGIC) or len(data) < head:
        raise _Unusable("it is no state of the status page")
    if sha256(data[head:]).digest() != data[len(_MAGIC) : head]:
        raise _Unusable("it is damaged: its checksum is wrong")
    try:
        state = _state.decode(data[head:])
    except (msgspec.DecodeError, ValueError) as error:
        raise _Unusable(f"it is of another version ({error})") from None
    if state.version != STATE_VERSION:
        raise _Unusable(f"it is of version {state.version}, this reads {STATE_VERSION}")
    if missing := configuration.targets - state.targets.keys():
        raise _Unusable(f"{len(missing)} targets are public now that were not when it was written")
    return state


def encoded(state: State) -> bytes:
    """The bytes of the file."""
    data = encode_state(state)
    return _MAGIC + sha256(data).digest() + data
