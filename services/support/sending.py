"""How the desk's letters go out: the relay, and our own mailbox, where bounces and copies come."""

from __future__ import annotations

from services.support.settings import SupportSettings
from shared.mail.outbox import Sending
from shared.mail.relay import Relay


def relay_of(settings: SupportSettings) -> Relay:
    """The relay the settings name."""
    return Relay(
        settings.smtp_host,
        settings.smtp_port,
        settings.smtp_user,
        settings.smtp_password.get_secret_value(),
        settings.smtp_tls,
        ca_file=str(settings.smtp_ca_file) if settings.smtp_ca_file else None,
    )


def sending_of(settings: SupportSettings) -> Sending:
    """From our mailbox, with a copy to it where mail that comes to it reaches us."""
    reached = bool(settings.imap_host or settings.smtp_in_port or settings.lmtp_in_port)
    return Sending(settings.address, settings.address if reached else None, settings.settle_s)
