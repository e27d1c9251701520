"""A Kafka broker for tests: a real Apache Kafka 4 in KRaft mode, or librdkafka's mock where there is no Java or Maven.

``MEETING_RECEIVER_KAFKA`` is ``real`` (its absence is a failure), ``mock``, or unset (real if it can be had).
``MEETING_RECEIVER_KAFKA_JARS`` is where Maven puts the jars; they are fetched once. Run as a script it fetches them and
prints the folder, and for that it imports nothing beyond the standard library.
"""

import contextlib
import fcntl
import hashlib
import os
import random
import re
import shutil
import signal
import socket
import subprocess
import sys
import time
import uuid
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any, Protocol

POM = Path(__file__).parent / "kafka" / "pom.xml"
PROPERTY = "kafka"
JAVA_MIN = 17
FETCH_TIMEOUT_S = 500
START_TIMEOUT_S = 90
STOP_TIMEOUT_S = 15
#: the one account of the listener that asks for a password
SASL_USER, SASL_PASSWORD = "lake", "open-sesame"
#: sixteen bytes in URL-safe base64; a drawn one may begin with ``-``, and is then taken for an option
CLUSTER = "bWVldGluZy1yZWNlaXZlcg"
READY = "Kafka Server started"
#: of ports that are reserved
_kept: list[socket.socket] = []
SETTINGS = """\
process.roles=broker,controller
node.id=1
controller.quorum.voters=1@127.0.0.1:{controller}
controller.listener.names=CONTROLLER
listeners=PLAINTEXT://127.0.0.1:{port},SASL://127.0.0.1:{sasl},CONTROLLER://127.0.0.1:{controller}
advertised.listeners=PLAINTEXT://127.0.0.1:{port},SASL://127.0.0.1:{sasl}
listener.security.protocol.map=PLAINTEXT:PLAINTEXT,SASL:SASL_PLAINTEXT,CONTROLLER:PLAINTEXT
listener.name.sasl.sasl.enabled.mechanisms=PLAIN
listener.name.sasl.plain.sasl.jaas.config=org.apache.kafka.common.security.plain.PlainLoginModule required \
  user_{user}="{password}";
log.dirs={data}
num.partitions=3
offsets.topic.replication.factor=1
offsets.topic.num.partitions=1
transaction.state.log.replication.factor=1
transaction.state.log.min.isr=1
transaction.state.log.num.partitions=1
group.initial.rebalance.delay.ms=0
broker.session.timeout.ms=2000
broker.heartbeat.interval.ms=500
"""


class Unavailable(Exception):
    """No real broker can be had here; the text says why."""


class Broker(Protocol):
    """What a test may do with either kind. Only a ``real`` one can come back after ``kill``, or be frozen."""

    #: ``host:port``
    address: str
    #: the same broker where it asks for ``SASL_USER`` and ``SASL_PASSWORD``; only a ``real`` one has it
    sasl_address: str
    #: what the test report calls it
    title: str
    real: bool

    def kill(self) -> None:
        """Gone at once, as by ``kill -9``."""

    def start(self) -> None:
        """Run (again), on the same port and with the same data. Does nothing while it runs."""

    def freeze(self) -> None:
        """It accepts connections and answers nothing."""

    def thaw(self) -> None:
        """It goes on."""


class RealBroker:
    """One process ``kafka.Kafka`` on 127.0.0.1, broker and controller in one, with half a gigabyte of heap."""

    real = True

    def __init__(self, folder: Path, jars: Path) -> None:
        self._folder, self._jars = folder, jars
        self._process: subprocess.Popen[bytes] | None = None
        ports = {name: reserved_port(16_000, 32_000) for name in ("port", "sasl", "controller")}
        self.address = f"127.0.0.1:{ports['port']}"
        self.sasl_address = f"127.0.0.1:{ports['sasl']}"
        self.title = f"Apache Kafka {_kafka_version()}"
        self._settings = folder / "server.properties"
        values = {"data": folder / "data", "user": SASL_USER, "password": SASL_PASSWORD}
        self._settings.write_text(SETTINGS.format(**ports, **values))
        tool = self._java("kafka.tools.StorageTool", "format", "-t", CLUSTER, "-c", str(self._settings))
        if tool.wait(START_TIMEOUT_S):
            raise RuntimeError(f"Kafka's storage cannot be formatted:\n{self._log.read_text(errors='replace')[-3000:]}")
        self.start()

    def start(self) -> None:
        if self._process is not None:
            return
        self._process = self._java("kafka.Kafka", str(self._settings))
        # ends the broker once this process is gone, however it went: its end of the pipe closes then
        guard = ["sh", "-c", 'read _; kill -9 "$0"', str(self._process.pid)]
        self._guard = subprocess.Popen(guard, stdin=subprocess.PIPE)
        deadline_s = time.monotonic() + START_TIMEOUT_S
        while READY not in (log := self._log.read_text(errors="replace")):
            if self._process.poll() is not None or time.monotonic() > deadline_s:
                self.kill()
                raise RuntimeError(f"the Kafka broker does not start:\n{log[-3000:]}")
            time.sleep(0.05)

    def kill(self) -> None:
        self._end(signal.SIGKILL)

    def stop(self) -> None:
        """End it in order; by force where that takes too long."""
        self._end(signal.SIGTERM)

    def freeze(self) -> None:
        self._signal(signal.SIGSTOP)

    def thaw(self) -> None:
        self._signal(signal.SIGCONT)

    def _end(self, how: signal.Signals) -> None:
        process, self._process = self._process, None
        if process is None:
            return
        self._guard.kill()
        self._guard.communicate()
        process.send_signal(signal.SIGCONT)
        process.send_signal(how)
        try:
            process.wait(STOP_TIMEOUT_S)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()

    def _signal(self, which: signal.Signals) -> None:
        if self._process is not None:
            self._process.send_signal(which)

    def _java(self, main: str, *arguments: str) -> subprocess.Popen[bytes]:
        """Start a Java program that writes into a log file of its own."""
        self._log = self._folder / f"{main}-{uuid.uuid4().hex[:6]}.log"
        options = ["-Xmx512m", "-XX:+UseSerialGC", "-XX:TieredStopAtLevel=1"]
        logging = ["-Dorg.slf4j.simpleLogger.defaultLogLevel=warn", "-Dorg.slf4j.simpleLogger.log.kafka.server=info"]
        command = ["java", *options, *logging, "-cp", f"{self._jars}/*", main, *arguments]
        with self._log.open("wb") as log:
            return subprocess.Popen(command, cwd=self._folder, stdin=subprocess.DEVNULL, stdout=log, stderr=log)


class MockBroker:
    """The mock inside librdkafka. It lives in a client of its own, and its topics die with it."""

    real = False

    def __init__(self, why: str) -> None:
        self.title = f"librdkafka's mock broker ({why})"
        self.address = self.sasl_address = ""
        self._host: Any = None
        self.start()

    def start(self) -> None:
        if self._host is not None:
            return
        from confluent_kafka import Producer  # here, so that the script needs no package

        self._host = Producer({"test.mock.num.brokers": 1, "log_level": 3})
        broker = next(iter(self._host.list_topics(timeout=START_TIMEOUT_S).brokers.values()))
        self.address = f"{broker.host}:{broker.port}"

    def kill(self) -> None:
        self._host = None

    stop = kill

    def freeze(self) -> None:
        raise NotImplementedError

    def thaw(self) -> None:
        raise NotImplementedError


def start_broker(folder: Path) -> RealBroker | MockBroker:
    """The broker that can be had here, running, its files in ``folder``. Raises: Unavailable if it must be real."""
    wish = os.environ.get("MEETING_RECEIVER_KAFKA", "")
    if wish == "mock":
        return MockBroker("asked for")
    try:
        return RealBroker(folder, fetch_jars())
    except Unavailable as why:
        if wish == "real":
            raise
        return MockBroker(str(why))


def reserved_port(low: int, high: int) -> int:
    """A free port below the range from which the system hands them out, so that nobody gets it before it is served, or
    while a server is down: other tests do not either, for this process keeps the same number of UDP."""
    while True:
        port = random.randrange(low, high)
        kept = socket.socket(type=socket.SOCK_DGRAM)
        with socket.socket() as probe, contextlib.suppress(OSError):
            kept.bind(("127.0.0.1", port))
            probe.bind(("127.0.0.1", port))
            _kept.append(kept)
            return port
        kept.close()


def fetch_jars() -> Path:
    """The folder of the broker's jars, filled by Maven if it is not there yet. Raises: Unavailable."""
    _require_java()
    default = Path.home() / ".cache" / "meeting-receiver" / "kafka"
    cache = Path(os.environ.get("MEETING_RECEIVER_KAFKA_JARS") or default)
    # a folder of this name is complete: it is renamed once it is
    jars = cache / hashlib.sha256(POM.read_bytes()).hexdigest()[:12]
    cache.mkdir(parents=True, exist_ok=True)
    with (cache / "lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not jars.is_dir():
            _run_maven(jars.with_suffix(".part"))
            jars.with_suffix(".part").rename(jars)
    return jars


def kafka_summary(stats: Mapping[str, Iterable[Any]]) -> str:
    """One line for the end of the test report, from the terminal reporter's ``stats``; empty without Kafka tests."""
    reports = [report for group in stats.values() for report in group]
    properties = [item for report in reports for item in getattr(report, "user_properties", ())]
    titles = sorted({str(value) for name, value in properties if name == PROPERTY})
    return f"kafka tests ran on: {', '.join(titles)}" if titles else ""


def _require_java() -> None:
    if shutil.which("java") is None or shutil.which("mvn") is None:
        raise Unavailable("no java or no mvn on the path")
    answer = subprocess.run(["java", "-version"], capture_output=True, text=True, timeout=60).stderr
    found = re.search(r'version "(\d+)', answer)
    if found is None or int(found[1]) < JAVA_MIN:
        raise Unavailable(f"Java is older than {JAVA_MIN}")


def _run_maven(target: Path) -> None:
    shutil.rmtree(target, ignore_errors=True)
    command = ["mvn", "-B", "-ntp", "-q", "-f", str(POM), "dependency:copy-dependencies", f"-DoutputDirectory={target}"]
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=FETCH_TIMEOUT_S)
    except subprocess.TimeoutExpired:
        raise Unavailable(f"Maven did not fetch the jars within {FETCH_TIMEOUT_S} s") from None
    if done.returncode or not target.is_dir():
        raise Unavailable(f"Maven cannot fetch the jars: {done.stdout.strip()[:300]}")


def _kafka_version() -> str:
    found = re.search(r"<kafka.version>(.+?)<", POM.read_text())
    return found[1] if found else ""


if __name__ == "__main__":
    sys.stdout.write(f"{fetch_jars()}\n")
