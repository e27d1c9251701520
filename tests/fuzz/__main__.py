"""``python -m tests.fuzz``: the long form, by hand. Guided by coverage where atheris is installed, blind elsewhere.

Prints a line for each target: inputs, inputs a second, edges covered, crashes. An input that breaks a promise, or takes
longer than five seconds, is saved and named. What was found stays in the work folder, and the next run starts from it.
"""

import argparse
import importlib
import importlib.util
import re
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

EPILOG = """examples:
  python -m tests.fuzz --seconds 600              ten minutes, shared by all targets
  python -m tests.fuzz --target http --seconds 60
  python -m tests.fuzz --target body --inputs 1000000
  python -m tests.fuzz --target body --file /tmp/receiver-fuzz/crashes/body-crash-…   one saved input again
"""
_HANG_S = 5
_MOST_CRASHES = 3
_RSS_MB = 1024
_DONE = re.compile(r"number_of_executed_units:\s*(\d+)|^#(\d+)\s", re.MULTILINE)
_SAVED = re.compile(r"Test unit written to (.+)$", re.MULTILINE)
_COVERED = re.compile(r"\bcov: (\d+)")


@dataclass
class Tally:
    """What came of a target; ``covered`` in edges, 0 where nobody counts them."""

    inputs: int = 0
    seconds: float = 0.0
    covered: int = 0
    finds: int = 0
    crashes: list[Path] = field(default_factory=list)

    def line(self, name: str) -> str:
        rate = self.inputs / self.seconds if self.seconds else 0.0
        covered = f"{self.covered} edges, {self.finds} finds kept, " if self.covered else ""
        return f"{name:10} {self.inputs:>10,} inputs {rate:>9,.0f}/s  {covered}{len(self.crashes)} crashes"


def main() -> int:
    """Fuzz what the arguments ask for. 0: every promise held; 1: some did not."""
    args = _arguments()
    work = args.work
    if args.guided_child:
        return _guided_child(args.guided_child, args.libfuzzer)
    from tests.fuzz.targets import TARGETS

    names = args.target or list(TARGETS)
    if args.file:
        for path in args.file:
            TARGETS[names[0]](path.read_bytes())
        print("every promise holds")
        return 0
    guided = importlib.util.find_spec("atheris") is not None
    print("guided by coverage (atheris)" if guided else "blind: `pip install atheris` for runs guided by coverage")
    total = Tally()
    for name in names:
        seconds = args.seconds / len(names) if args.inputs is None else float("inf")
        tally = (_guided if guided else _blind)(name, seconds, args.inputs, work)
        total.inputs += tally.inputs
        total.seconds += tally.seconds
        total.crashes += tally.crashes
        print(tally.line(name), flush=True)
        for path in tally.crashes:
            print(f"  saved: {path}", flush=True)
    print(total.line("in all"))
    return 1 if total.crashes else 0


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        "python -m tests.fuzz", description=__doc__, epilog=EPILOG, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--target", action="append", metavar="NAME", help="repeatable; default: all")
    parser.add_argument("--seconds", type=float, default=60.0, help="shared by the targets (default: 60)")
    parser.add_argument("--inputs", type=int, help="for each target, instead of --seconds")
    parser.add_argument("--file", type=Path, action="append", help="check these files once, instead of fuzzing")
    parser.add_argument("--work", type=Path, default=Path(tempfile.gettempdir()) / "receiver-fuzz", help="work folder")
    parser.add_argument("--guided-child", metavar="NAME", help=argparse.SUPPRESS)
    parser.add_argument("libfuzzer", nargs="*", help=argparse.SUPPRESS)
    return parser.parse_args()


def _blind(name: str, seconds: float, inputs: int | None, work: Path) -> Tally:
    from tests.fuzz.mutate import mutants
    from tests.fuzz.targets import TARGETS, seeds

    check, tally, began_s = TARGETS[name], Tally(), time.monotonic()
    for data in mutants(seeds(name), inputs or sys.maxsize, seed=time.time_ns()):
        if tally.seconds > seconds or len(tally.crashes) >= _MOST_CRASHES:
            break
        try:
            check(data)
        except Exception as error:
            path = work / "crashes" / f"{name}-blind-{time.time_ns():x}"
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(data)
            tally.crashes.append(path)
            print(f"  {type(error).__name__}: {error}")
        tally.inputs += 1
        tally.seconds = time.monotonic() - began_s
    return tally


def _guided(name: str, seconds: float, inputs: int | None, work: Path) -> Tally:
    """libFuzzer in a process of its own, started again after a crash while there is time."""
    from tests.fuzz.mutate import MOST_BYTES, TOKENS
    from tests.fuzz.targets import seeds

    finds, start, crashes = work / "finds" / name, work / "seeds" / name, work / "crashes"
    for folder in (finds, start, crashes):
        folder.mkdir(parents=True, exist_ok=True)
    for number, data in enumerate(seeds(name)):
        (start / f"{number:04}").write_bytes(data)
    words = work / "words.dict"
    words.write_text("".join('"' + "".join(f"\\x{byte:02x}" for byte in token) + '"\n' for token in TOKENS if token))
    tally = Tally()
    while tally.seconds < seconds and (inputs is None or tally.inputs < inputs) and len(tally.crashes) < _MOST_CRASHES:
        left = f"-runs={inputs - tally.inputs}" if inputs else f"-max_total_time={max(1, seconds - tally.seconds):.0f}"
        options = [
            left, f"-timeout={_HANG_S}", f"-max_len={MOST_BYTES}", f"-rss_limit_mb={_RSS_MB}", f"-dict={words}",
            f"-artifact_prefix={crashes}/{name}-", "-print_final_stats=1", str(finds), str(start),
        ]  # fmt: skip
        began_s = time.monotonic()
        command = [sys.executable, "-m", "tests.fuzz", "--guided-child", name, "--", *options]
        with (work / f"{name}.log").open("w+", errors="replace") as log:
            status = subprocess.run(command, stdout=log, stderr=subprocess.STDOUT, check=False).returncode
            log.seek(0)
            text = log.read()
        tally.seconds += time.monotonic() - began_s
        tally.inputs += max((int(done or line) for done, line in _DONE.findall(text)), default=0)
        tally.covered = max((int(edges) for edges in _COVERED.findall(text)), default=tally.covered)
        saved = [Path(path) for path in _SAVED.findall(text)]
        tally.crashes += saved
        if status and not saved:
            raise SystemExit(f"{name}: the fuzzer itself failed, see {work / f'{name}.log'}")
    tally.finds = sum(1 for _ in finds.iterdir())
    return tally


def _guided_child(name: str, options: list[str]) -> int:
    atheris: Any = importlib.import_module("atheris")
    with atheris.instrument_imports(include=["receiver", "sinks"], enable_loader_override=False):
        from tests.fuzz.targets import TARGETS
    atheris.Setup([sys.argv[0], *options], TARGETS[name], internal_libfuzzer=True)
    atheris.Fuzz()
    return 0


if __name__ == "__main__":
    sys.exit(main())
