"""One target's run, each in a process of its own: guided by coverage with atheris, or blind. Nothing decides here which
targets run; see ``__main__``.

Each input has a time limit. In a blind run an alarm ends what runs too long in Python; a process that says nothing for
a while hangs in C and is killed, and the seed and number of the input tell which one it was.
"""

import importlib
import json
import re
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

HANG_S = 5
_SILENT_S = 60.0
_TELL_S = 2.0
_MOST_CRASHES = 3
_RSS_MB = 1024
_DONE = re.compile(r"^stat::number_of_executed_units:\s*(\d+)|^#(\d+)\s", re.MULTILINE)
_SAVED = re.compile(r"Test unit written to (.+)$")
_COVERED = re.compile(r"\bcov: (\d+)")


@dataclass
class Tally:
    """What came of a target; ``covered`` in edges, 0 where nobody counts them."""

    name: str = ""
    inputs: int = 0
    seconds: float = 0.0
    slowest_s: float = 0.0
    covered: int = 0
    hangs: int = 0
    crashes: list[Path] = field(default_factory=list)
    finished: bool = False

    def line(self) -> str:
        rate = self.inputs / self.seconds if self.seconds else 0.0
        covered = f"{self.covered:>6,}" if self.covered else "     -"
        slowest = f"{self.slowest_s * 1000:>6.0f} ms" if self.slowest_s else "        -"
        return (
            f"{self.name:10} {self.inputs:>11,} {rate:>9,.0f}/s {slowest} {covered} edges "
            f"{len(self.crashes) - self.hangs:>3} crashes {self.hangs:>3} hangs"
        )


def blind(tally: Tally, inputs: int, seconds: float, work: Path, seed: int) -> None:
    """Mutants without coverage; ``tally`` may be looked at meanwhile."""
    command = [sys.executable, "-m", "tests.fuzz", "--blind-child", tally.name, str(inputs), str(seconds), str(seed)]
    command += [str(work)]

    def read(line: str) -> None:
        said = json.loads(line)
        tally.inputs, tally.slowest_s = said["inputs"], said["slowest_s"]
        tally.crashes = [Path(path) for path in said["crashes"]]
        tally.hangs = said["hangs"]

    begun_s = time.monotonic()
    if _followed(command, read, tally, begun_s) is None:
        tally.hangs += 1
        tally.crashes.append(work / f"{tally.name}: seed {seed}, soon after input {tally.inputs:,}")
    tally.finished = True


def guided(tally: Tally, inputs: int, seconds: float, work: Path, seed: int) -> None:
    """libFuzzer, started again after a crash while there is something left to do."""
    from tests.fuzz.mutate import MOST_BYTES, TOKENS
    from tests.fuzz.targets import seeds

    name, begun_s, done = tally.name, time.monotonic(), 0
    finds, start, crashes = work / "finds" / name, work / "seeds" / name, work / "crashes"
    for folder in (finds, start, crashes):
        folder.mkdir(parents=True, exist_ok=True)
    for number, data in enumerate(seeds(name)):
        (start / f"{number:04}").write_bytes(data)
    words = work / f"{name}.dict"
    words.write_text("".join('"' + "".join(f"\\x{byte:02x}" for byte in token) + '"\n' for token in TOKENS if token))

    def read(line: str) -> None:
        for stat, step in _DONE.findall(line):
            tally.inputs = max(tally.inputs, done + int(stat or step))
        tally.covered = max([tally.covered, *(int(edges) for edges in _COVERED.findall(line))])
        for path in _SAVED.findall(line):
            tally.crashes.append(Path(path))
            tally.hangs += "timeout" in Path(path).name

    while len(tally.crashes) < _MOST_CRASHES and tally.inputs < inputs:
        left_s = seconds - (time.monotonic() - begun_s)
        if left_s < 1:
            break
        options = [
            f"-runs={inputs - tally.inputs}", f"-max_total_time={left_s:.0f}", f"-timeout={HANG_S}", f"-seed={seed}",
            f"-max_len={MOST_BYTES}", f"-rss_limit_mb={_RSS_MB}", f"-dict={words}", "-print_final_stats=1",
            f"-artifact_prefix={crashes}/{name}-", str(finds), str(start),
        ]  # fmt: skip
        found = len(tally.crashes)
        status = _followed(
            [sys.executable, "-m", "tests.fuzz", "--guided-child", name, *options], read, tally, begun_s,
            log=work / f"{name}.log", patience_s=float("inf"),
        )  # fmt: skip
        if status and len(tally.crashes) == found:
            tally.crashes.append(work / f"{name}.log")
            break
        done, seed = tally.inputs, seed + 1
    tally.finished = True


def _followed(
    command: list[str], read: Callable[[str], None], tally: Tally, begun_s: float, *,
    log: Path | None = None, patience_s: float = _SILENT_S,
) -> int | None:  # fmt: skip
    """Run ``command`` and read what it says; its exit status, ``None`` where it had to be killed for its silence."""
    heard_s = time.monotonic()
    killed = threading.Event()
    with subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, errors="replace"
    ) as run:
        assert run.stdout is not None

        def watch() -> None:
            while run.poll() is None:
                if time.monotonic() - heard_s > patience_s:
                    killed.set()
                    run.kill()
                time.sleep(0.5)

        watcher = threading.Thread(target=watch, daemon=True)
        watcher.start()
        copy = log.open("a") if log is not None else None
        for line in run.stdout:
            heard_s = time.monotonic()
            if copy is not None:
                copy.write(line)
                read(line)
            elif line.startswith("{"):
                read(line)
            else:
                print(f"  {tally.name}: {line.rstrip()}", flush=True)
            tally.seconds = heard_s - begun_s
        if copy is not None:
            copy.close()
    return None if killed.is_set() else run.returncode


class _TooLong(BaseException):
    """Not one that a target could take for its own."""


def blind_child(name: str, inputs: int, seconds: float, seed: int, work: Path) -> int:
    """Run in its own process; a line of JSON now and then, and at the end."""
    from tests.fuzz.mutate import mutants
    from tests.fuzz.targets import TARGETS, seeds

    def ring(*_: Any) -> None:
        raise _TooLong(f"longer than {HANG_S} s")

    signal.signal(signal.SIGALRM, ring)
    check, begun_s, told_s = TARGETS[name], time.monotonic(), 0.0
    said: dict[str, Any] = {"inputs": 0, "slowest_s": 0.0, "crashes": [], "hangs": 0}
    for data in mutants(seeds(name), inputs, seed):
        start_s = time.monotonic()
        signal.setitimer(signal.ITIMER_REAL, HANG_S)
        try:
            check(data)
        except (_TooLong, Exception) as error:
            path = work / "crashes" / f"{name}-{seed}-{said['inputs']}"
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(data)
            said["crashes"].append(str(path))
            said["hangs"] += isinstance(error, _TooLong)
            print(f"{type(error).__name__}: {error}"[:500].replace("\n", " "), flush=True)
        finally:
            signal.setitimer(signal.ITIMER_REAL, 0)
        now_s = time.monotonic()
        said["inputs"] += 1
        said["slowest_s"] = max(said["slowest_s"], now_s - start_s)
        if now_s - told_s > _TELL_S:
            told_s = now_s
            print(json.dumps(said), flush=True)
        if now_s - begun_s > seconds or len(said["crashes"]) >= _MOST_CRASHES:
            break
    print(json.dumps(said), flush=True)
    return 0


def guided_child(name: str, options: list[str]) -> int:
    """Run in its own process: libFuzzer never comes back."""
    atheris: Any = importlib.import_module("atheris")
    with atheris.instrument_imports(include=["receiver", "sinks"], enable_loader_override=False):
        from tests.fuzz.targets import TARGETS
    atheris.Setup([sys.argv[0], *options], TARGETS[name], internal_libfuzzer=True)
    atheris.Fuzz()
    return 0
