"""The report that a message could not be delivered (RFC 3464)."""

from __future__ import annotations

import uuid
from email.message import Message
from email.mime.multipart import MIMEMultipart
from email.mime.text import MIMEText
from email.policy import SMTP


def report(raw: bytes, *, sender: str, failed: dict[str, str], server: str, date: str) -> bytes:
    """The report to `sender` about the recipients in `failed`, each with its status and text such as
    "5.1.1 no such user"; the headers of `raw` are in it."""
    whole = MIMEMultipart("report", policy=SMTP)
    whole.set_param("report-type", "delivery-status")
    whole["Date"] = date
    whole["From"] = f"Mail Delivery System <MAILER-DAEMON@{server}>"
    whole["To"] = sender
    whole["Subject"] = "Undelivered Mail Returned to Sender"
    whole["Auto-Submitted"] = "auto-replied"
    whole["Message-ID"] = f"<{uuid.uuid4().hex}@{server}>"
    lines = "".join(f"<{recipient}>: {why}\n" for recipient, why in failed.items())
    whole.attach(MIMEText(f"Your message could not be delivered.\n\n{lines}", policy=SMTP))
    status = Message(policy=SMTP)
    status["Content-Type"] = "message/delivery-status"
    parts: list[Message | str] = [_fields(**{"Reporting-MTA": f"dns; {server}"})]
    for recipient, why in failed.items():
        code, _, text = why.partition(" ")
        said = {"Final-Recipient": f"rfc822; {recipient}", "Action": "failed", "Status": code}
        parts.append(_fields(**said, **{"Diagnostic-Code": f"smtp; 550 {code} {text}"}))
    status.set_payload(parts)
    whole.attach(status)
    headers = MIMEText("", "rfc822-headers", policy=SMTP)
    headers.set_payload(_head(raw).decode("ascii", "replace"))
    whole.attach(headers)
    return whole.as_bytes()


def _fields(**fields: str) -> Message:
    part = Message(policy=SMTP)
    for name, value in fields.items():
        part[name] = value
    return part


def _head(raw: bytes) -> bytes:
    head, _, _ = raw.partition(b"\r\n\r\n")
    return head.replace(b"\r\n", b"\n") + b"\n"
