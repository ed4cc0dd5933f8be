"""`python -m services.cli.mail`: the same as `garant mailbox`."""

import typer

from services.cli.mail.command import mailbox

typer.run(mailbox)
