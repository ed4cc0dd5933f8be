"""`garant mailbox` as a process of a test's own."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from pathlib import Path

import httpx

from services.cli.local.ports import HOST, accepts, free_port
from services.cli.up.tether import ends_with_starter, stop_process
from tests.mail.servers import AUTHSERV_ID, MailServer

START_S = 60.0


class PythonServer(MailServer):
    """aiosmtpd and pymap."""

    kind = "python"

    def __init__(self, folder: Path) -> None:
        super().__init__(folder, free_port(), free_port())
        self._http_port = free_port()
        self._process: subprocess.Popen[bytes] | None = None
        self.settings: dict[str, str] = {}
        """More of its environment, from the next start on."""
        mail = folder / "mail"
        mail.mkdir(parents=True, exist_ok=True)
        (mail / "users").write_text("".join(f"{one} {secret}\n" for one, secret in self.users.items()))
        self._rules_changed()

    def start(self) -> None:
        if self._process is not None:
            return
        env = {name: value for name, value in os.environ.items() if not name.startswith("GARANT_")} | {
            "GARANT_HOME": str(self.folder),
            "GARANT_MAILBOX_SMTP_PORT": str(self.smtp_port),
            "GARANT_MAILBOX_IMAP_PORT": str(self.imap_port),
            "GARANT_MAILBOX_HTTP_PORT": str(self._http_port),
            "GARANT_MAILBOX_AUTHSERV_ID": AUTHSERV_ID,
            **self.settings,
        }
        command = [sys.executable, "-m", "services.cli.mail", "--test-rules", str(self.folder / "rules.json")]
        log = self.folder / "mailbox.log"
        with log.open("ab") as out:
            self._process = subprocess.Popen(
                command,
                env=env,
                cwd=Path(__file__).resolve().parents[2],
                stdin=subprocess.DEVNULL,
                stdout=out,
                stderr=subprocess.STDOUT,
                preexec_fn=ends_with_starter(),
            )
        deadline = time.monotonic() + START_S
        while not self.ready():
            if self._process.poll() is not None or time.monotonic() > deadline:
                raise RuntimeError(f"garant mailbox did not start; its log:\n{log.read_text()[-2_000:]}")
            time.sleep(0.05)

    def ready(self) -> bool:
        """What its health port says."""
        if not accepts(self._http_port):  # at once, where an HTTP client takes its time
            return False
        try:
            answer = httpx.get(f"http://{HOST}:{self._http_port}/ready", timeout=2, trust_env=False)
        except httpx.HTTPError:
            return False
        return answer.status_code == httpx.codes.OK

    def stop(self) -> None:
        if self._process is not None:
            stop_process(self._process, 15)
            self._process = None

    def kill(self) -> None:
        if self._process is not None:
            self._process.kill()
            self._process.wait()
            self._process = None

    def recreate_mailbox(self, address: str) -> None:
        old = f"Old{next(self._tags)}"
        with self.imap(address) as client:
            client.rename_folder("INBOX", old)
            client.select_folder(old)
            if uids := client.search("ALL"):
                client.move(uids, "INBOX")
            client.select_folder("INBOX")
            client.delete_folder(old)

    def _rules_changed(self) -> None:
        rules = {"refuse": self._refused, "bounce": self._bounced, "verdicts": self._verdicts}
        new = self.folder / "rules.new"
        new.write_text(json.dumps(rules))
        new.replace(self.folder / "rules.json")
