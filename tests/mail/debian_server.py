"""Postfix and Dovecot with a configuration of their own, in a directory of their own; no service of the
machine is touched.

Postfix takes SMTP, hands the mail to Dovecot by LMTP, and asks Dovecot for passwords.

Where the verdict ends up (Postfix 3.7): PREPEND puts its field above Postfix's own Received, and
header_checks read it like the sender's fields. So it is written under a secret name, which header_checks turn
into Authentication-Results in its place, while they take away those that the sender wrote in our name.
Dovecot's LMTP then adds three fields on top (Delivered-To only for a message with one recipient):

    Return-Path
    Delivered-To
    Received (LMTP)
    Authentication-Results (ours, the SASL verdict before the domain's)
    Received (SMTP)
    the sender's fields
"""

from __future__ import annotations

import os
import pwd
import secrets
import shutil
import signal
import subprocess
import tempfile
import time
from contextlib import suppress
from pathlib import Path

from imapclient import IMAPClient

from services.cli.local.ports import HOST, accepts, free_port
from services.cli.up.tether import ends_with_starter
from tests.mail.servers import AUTHSERV_ID, GONE, MailServer

DOVECOT = Path("/usr/sbin/dovecot")
POSTFIX = Path("/usr/sbin/postfix")
START_S = 20.0
DELIVERED_S = 5.0
OURS = ("garant.example", "demo.example")


def can_run() -> bool:
    """Whether both are installed with their protocols, and may be started: Postfix needs root."""
    parts = (DOVECOT, POSTFIX, Path("/usr/lib/dovecot/imap"), Path("/usr/lib/dovecot/lmtp"))
    return os.geteuid() == 0 and all(part.exists() for part in parts)


class DebianServer(MailServer):
    """Their processes, in two groups."""

    kind = "debian"

    def __init__(self, folder: Path) -> None:
        super().__init__(folder, free_port(), free_port())
        # Their own users must reach it, and a socket's path is short: pytest's directories are neither.
        self.root = Path(tempfile.mkdtemp(prefix="garant-mail-"))
        self.root.chmod(0o755)
        self._field = f"X-Verdict-{secrets.token_hex(8)}"
        self._processes: list[subprocess.Popen[bytes]] = []
        self._make_postfix()
        self._make_dovecot()

    def start(self) -> None:
        if self._processes:
            return
        (self.root / "run" / "master.pid").unlink(missing_ok=True)
        self._run([str(DOVECOT), "-F", "-c", str(self.root / "dovecot.conf")], "dovecot")
        self._run([_postconf("daemon_directory") + "/master", "-d", "-c", str(self.root / "etc")], "postfix")
        deadline = time.monotonic() + START_S
        while not (accepts(self.smtp_port) and self._logs_in()):
            ended = any(process.poll() is not None for process in self._processes)
            if ended or time.monotonic() > deadline:
                said = "\n".join(log.read_text()[-2_000:] for log in sorted(self.root.glob("*.log")))
                raise RuntimeError(f"Postfix or Dovecot did not start; their logs:\n{said}")
            time.sleep(0.05)

    def _run(self, command: list[str], name: str) -> None:
        with (self.root / f"{name}.out.log").open("ab") as out:
            self._processes.append(
                subprocess.Popen(
                    command,
                    stdin=subprocess.DEVNULL,
                    stdout=out,
                    stderr=subprocess.STDOUT,
                    start_new_session=True,
                    preexec_fn=ends_with_starter(),
                )
            )

    def _logs_in(self) -> bool:
        user = "support@garant.example"
        try:
            client = IMAPClient(HOST, self.imap_port, ssl=False, timeout=5)
            client.login(user, self.users[user])
            client.shutdown()
        except Exception:  # refused, hung up, or not yet allowed: in any case not ready
            return False
        return True

    def stop(self) -> None:
        # Postfix ends its deliveries where they are, and does them again later: a copy too many.
        deadline = time.monotonic() + DELIVERED_S
        while self._processes and self._delivering() and time.monotonic() < deadline:
            time.sleep(0.02)
        self._end(signal.SIGTERM)

    def _delivering(self) -> bool:
        queues = (self.root / "queue" / name for name in ("maildrop", "incoming", "active"))
        return any(file.is_file() for queue in queues for file in queue.rglob("*"))

    def kill(self) -> None:
        self._end(signal.SIGKILL)
        # Dovecot takes the lock of a mailbox for stale after two minutes only; nobody holds one now.
        for lock in (self.root / "homes").rglob("dovecot-uidlist.lock"):
            lock.unlink()

    def _end(self, number: signal.Signals) -> None:
        for process in reversed(self._processes):
            with suppress(ProcessLookupError):
                os.killpg(process.pid, number)
        for process in self._processes:
            try:
                process.wait(10)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()
        # Those whose master is gone end by themselves, but not at once; they must not hold the ports.
        for process in self._processes:
            while _group_lives(process.pid):
                with suppress(ProcessLookupError):
                    os.killpg(process.pid, signal.SIGKILL)
                time.sleep(0.01)
        self._processes = []

    def remove(self) -> None:
        """Stops it, and removes its directory."""
        self.stop()
        shutil.rmtree(self.root, ignore_errors=True)

    def recreate_mailbox(self, address: str) -> None:
        self._doveadm("kick", address, fails=True)
        old, new = self.root / "homes" / address / "Maildir", self.root / "homes" / address / "New"
        new.mkdir()
        for name in ("cur", "new", "tmp"):
            shutil.move(old / name, new / name)
        for counter in old.glob(
            "dovecot-uidvalidity*"
        ):  # so that the next one is another, even in this second
            shutil.move(counter, new / counter.name)
        stat = old.stat()
        shutil.rmtree(old)
        new.rename(old)
        os.chown(old, stat.st_uid, stat.st_gid)

    def _doveadm(self, *arguments: str, fails: bool = False) -> None:
        command = ["/usr/bin/doveadm", "-c", str(self.root / "dovecot.conf"), *arguments]
        subprocess.run(command, check=not fails, capture_output=True, timeout=20)

    def _rules_changed(self) -> None:
        self._map("refuse", self._refused)
        self._map("verdicts", {one: f"PREPEND {self._field}: {said}" for one, said in self._verdicts.items()})
        known = {one for one in self._bounced if "@" in one} | set(self.users)
        self._map("users", dict.fromkeys(sorted(known), "here"))
        bounced = {one: f"error:{why}" for one, why in self._bounced.items()}
        if self._map("transport", bounced) and self._processes:
            # Every other map is read anew by each smtpd; the queue manager's lookups are not.
            self._processes[1].send_signal(signal.SIGHUP)
            time.sleep(0.3)

    def _map(self, name: str, lines: dict[str, str]) -> bool:
        file, text = self.root / "etc" / name, "".join(f"{key} {value}\n" for key, value in lines.items())
        changed = not file.exists() or file.read_text() != text
        if changed:
            new = file.with_suffix(".new")
            new.write_text(text)
            new.replace(file)
        return changed

    def _make_postfix(self) -> None:
        etc, queue, data = self.root / "etc", self.root / "queue", self.root / "data"
        owner = pwd.getpwnam("postfix")
        etc.mkdir()
        queue.mkdir()
        for name in ("active", "bounce", "corrupt", "defer", "deferred", "flush", "hold", "incoming"):
            _own(queue / name, owner.pw_uid, 0o700)
        for name in ("saved", "trace", "private", "maildrop", "public"):
            _own(queue / name, owner.pw_uid, 0o700)
        (queue / "pid").mkdir()
        _own(data, owner.pw_uid, 0o700)
        (etc / "header_checks").write_text(_header_checks(self._field))
        classes = {f"as{number}": user for number, user in enumerate(self.users)}
        self._map("logins", {user: name for name, user in classes.items()})
        (etc / "main.cf").write_text(_main_cf(self.root, self._field, classes))
        (etc / "master.cf").write_text(_master_cf(self.smtp_port))
        self._rules_changed()

    def _make_dovecot(self) -> None:
        homes = self.root / "homes"
        mail = pwd.getpwnam("mail")
        homes.mkdir()
        os.chown(homes, mail.pw_uid, mail.pw_gid)
        (self.root / "passwords").write_text(
            "".join(f"{one}:{{PLAIN}}{word}\n" for one, word in self.users.items())
        )
        (self.root / "dovecot.conf").write_text(_dovecot_conf(self.root, self.imap_port))


def _own(folder: Path, uid: int, mode: int) -> None:
    folder.mkdir(mode=mode)
    os.chown(folder, uid, -1)


def _group_lives(group: int) -> bool:
    """Whether the process group has a member that is not merely waiting to be buried."""
    for stat in Path("/proc").glob("[0-9]*/stat"):
        try:
            state, _, its_group = stat.read_text().rpartition(")")[2].split()[:3]
        except OSError:
            continue
        if int(its_group) == group and state != "Z":
            return True
    return False


def _postconf(name: str) -> str:
    done = subprocess.run(["/usr/sbin/postconf", "-dh", name], capture_output=True, text=True, check=True)
    return done.stdout.strip()


def _header_checks(field: str) -> str:
    ours, space = AUTHSERV_ID.replace(".", r"\."), "[[:space:]]*"
    forged = rf'^Authentication-Results{space}:{space}(\([^)]*\){space})*"?{ours}([^-a-z0-9.]|$)'
    return f"/^{field}:{space}(.*)$/ REPLACE Authentication-Results: {AUTHSERV_ID}; $1\n/{forged}/ IGNORE\n"


def _main_cf(root: Path, field: str, classes: dict[str, str]) -> str:
    lines = {
        "compatibility_level": "3.6",
        "queue_directory": root / "queue",
        "data_directory": root / "data",
        "maillog_file": root / "postfix.log",
        "maillog_file_prefixes": root,
        "inet_interfaces": HOST,
        "inet_protocols": "ipv4",
        "myhostname": AUTHSERV_ID,
        "mynetworks": "192.0.2.1/32",  # nobody: it relays nothing
        "mydestination": "",
        "alias_maps": "",
        "alias_database": "",
        "local_recipient_maps": "",
        "local_header_rewrite_clients": "",  # else it completes and adds header fields for its own users
        "disable_dns_lookups": "yes",
        "smtpd_peername_lookup": "no",
        "recipient_delimiter": "+",
        "virtual_mailbox_domains": ", ".join(OURS),
        "virtual_mailbox_maps": f"texthash:{root}/etc/users",
        "virtual_transport": "lmtp:unix:private/dovecot-lmtp",
        "relay_domains": GONE,
        "relay_recipient_maps": "",
        "transport_maps": f"texthash:{root}/etc/transport",
        "message_size_limit": 120 * 1024 * 1024,
        "header_size_limit": 8 * 1024 * 1024,  # else a long To: is cut off
        "mailbox_size_limit": 0,
        "virtual_mailbox_limit": 0,
        "header_checks": f"regexp:{root}/etc/header_checks",
        "mime_header_checks": "",
        "nested_header_checks": "",
        "smtpd_sasl_auth_enable": "yes",
        "smtpd_sasl_type": "dovecot",
        "smtpd_sasl_path": "private/auth",
        "smtpd_sasl_security_options": "noanonymous",
        "smtpd_relay_restrictions": "reject_unauth_destination",
        "smtpd_recipient_restrictions": f"check_recipient_access texthash:{root}/etc/refuse",
        # Not at RCPT, where there would be one field for each recipient.
        "smtpd_data_restrictions": (
            f"check_sasl_access texthash:{root}/etc/logins, check_sender_access texthash:{root}/etc/verdicts"
        ),
        "smtpd_restriction_classes": ", ".join(classes),
        "smtpd_error_sleep_time": 0,
        "smtpd_client_connection_count_limit": 0,
        "smtpd_recipient_limit": 20_000,
        "in_flow_delay": 0,
        "notify_classes": "",
        "queue_run_delay": "2s",
        "minimal_backoff_time": "1s",
        "maximal_backoff_time": "5s",
    }
    for name, user in classes.items():
        said = f"PREPEND {field}: auth=pass smtp.auth={user} smtp.mailfrom={user}"
        lines[name] = f"check_sender_access inline:{{ {{ {user} = {said} }} }}"
    return "".join(f"{name} = {value}\n" for name, value in lines.items())


def _master_cf(smtp_port: int) -> str:
    # max_use=1: each connection is served by a new smtpd, which reads the maps as they are now. It resolves
    # without transport_maps: with them it would refuse at RCPT what is to be accepted and bounced.
    return f"""\
{HOST}:{smtp_port} inet n - n - - smtpd -o max_use=1 -o rewrite_service_name=accepting
accepting unix - - n - - trivial-rewrite -o transport_maps=
pickup unix n - n 60 1 pickup
cleanup unix n - n - 0 cleanup
qmgr unix n - n 2 1 qmgr
rewrite unix - - n - - trivial-rewrite
bounce unix - - n - 0 bounce
defer unix - - n - 0 bounce
trace unix - - n - 0 bounce
verify unix - - n - 1 verify
flush unix n - n 1000? 0 flush
proxymap unix - - n - - proxymap
error unix - - n - - error
retry unix - - n - - error
discard unix - - n - - discard
lmtp unix - - n - - lmtp
anvil unix - - n - 1 anvil
scache unix - - n - 1 scache
postlog unix-dgram n - n - 1 postlogd
"""


def _dovecot_conf(root: Path, imap_port: int) -> str:
    return f"""\
base_dir = {root}/run
state_dir = {root}/state
log_path = {root}/dovecot.log
protocols = imap lmtp
listen = {HOST}
ssl = no
disable_plaintext_auth = no
auth_mechanisms = plain login
auth_failure_delay = 0
first_valid_uid = 1
first_valid_gid = 1
mail_location = maildir:~/Maildir
mail_fsync = always
mail_max_userip_connections = 200
recipient_delimiter = +
passdb {{
  driver = passwd-file
  args = scheme=PLAIN username_format=%u {root}/passwords
}}
userdb {{
  driver = static
  args = uid=mail gid=mail home={root}/homes/%u
}}
service imap-login {{
  service_count = 0
  inet_listener imap {{
    port = {imap_port}
  }}
  inet_listener imaps {{
    port = 0
  }}
}}
service lmtp {{
  unix_listener {root}/queue/private/dovecot-lmtp {{
    mode = 0600
    user = postfix
  }}
}}
service anvil {{
  unix_listener anvil-auth-penalty {{
    mode = 0
  }}
}}
service auth {{
  unix_listener {root}/queue/private/auth {{
    mode = 0600
    user = postfix
  }}
}}
"""
