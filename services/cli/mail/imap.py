"""pymap, an IMAP server, on our mailboxes."""

from __future__ import annotations

import asyncio
import ssl
from argparse import Namespace
from collections.abc import Mapping, Sequence

from proxyprotocol.reader import ProxyProtocolReader
from pymap.backend.dict import Config, Login
from pymap.backend.dict.filter import FilterSet
from pymap.config import BackendCapability
from pymap.imap import IMAPServer
from pymap.user import UserMetadata
from pysasl.hashing import Cleartext

from services.cli.mail.mailboxes import Mailboxes, Writer
from services.cli.mail.store import Letter


class _Config(Config):
    """pymap's configuration without a command line, certificates or a look into DNS."""

    def __init__(self, host: str, port: int, name: str) -> None:
        super().__init__(
            Namespace(proxy_protocol=None, passlib_cfg=None),
            host=host,
            port=port,
            demo_data=False,
            demo_user="",
            demo_password="",
            tls_enabled=False,
            ssl_context=ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER),
            reject_dnsbl=False,
            hash_context=Cleartext(),
        )
        self._name = name

    @property
    def greeting(self) -> bytes:
        """Its first words."""
        return b"Server ready " + self._name.encode("ascii")

    @property
    def backend_capability(self) -> BackendCapability:
        """IDLE above all."""
        return BackendCapability(idle=True, object_id=False, multi_append=True)


class Imap:
    """Serves the mailboxes of `users` (password by address) and takes what SMTP delivers to them."""

    def __init__(self, users: Mapping[str, str], writer: Writer, name: str) -> None:
        self.users = dict(users)
        self._writer = writer
        self._name = name
        writer.store.ensure_inboxes(users)
        self._boxes = {user: Mailboxes(user, writer) for user in users}

    async def listen(self, host: str, port: int) -> asyncio.Server:
        """Listens until the server is closed."""
        config = _Config(host, port, self._name)
        config.apply_context()
        login = Login(config)
        for user, password in self.users.items():
            login.users_dict[user] = UserMetadata(config, user, password=password)
            config.set_cache[user] = (self._boxes[user], FilterSet())
        serve = ProxyProtocolReader(config.proxy_protocol).get_callback(IMAPServer(login, config))
        return await asyncio.start_server(serve, host, port)

    async def deliver(self, users: Sequence[str], raw: bytes, received_ms: int) -> None:
        """Puts the message into the INBOX of each of `users`, or of none: on disk first, then whoever idles
        hears of it. Raises sqlite3.Error."""
        boxes = [self._boxes[user].inbox for user in users]

        def show(letters: list[Letter]) -> None:
            for box, letter in zip(boxes, letters, strict=True):
                box.arrived(letter)

        await self._writer.write(
            lambda: self._writer.store.append([box.folder for box in boxes], raw, received_ms), show
        )
