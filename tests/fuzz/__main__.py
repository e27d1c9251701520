"""``python -m tests.fuzz``: the long form, by hand. Guided by coverage where atheris is installed, blind elsewhere.

Says every ten seconds how far it is; the table at the end has a line for each target: inputs, inputs a second, the
slowest input, edges covered, crashes, hangs. An input that breaks a promise, or takes longer than five seconds, is
saved and named. ``--total`` is spread evenly: cheap targets do not make up the number. What was found with coverage
stays in the work folder, and the next run starts from it.
"""

import argparse
import importlib.util
import os
import sys
import tempfile
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from tests.fuzz.run import Tally, blind, blind_child, guided, guided_child

EPILOG = """examples:
  python -m tests.fuzz --seconds 600              ten minutes, shared by all targets
  python -m tests.fuzz --total 10_000_000         ten million inputs, as many of each target
  python -m tests.fuzz --target http --seconds 60
  python -m tests.fuzz --target body --inputs 1000000
  python -m tests.fuzz --target body --file /tmp/receiver-fuzz/crashes/body-crash-…   one saved input again
"""
_PROGRESS_S = 10.0
_MOST_INPUTS = 1 << 40


def main() -> int:
    """Fuzz what the arguments ask for. 0: every promise held; 1: some did not."""
    if sys.argv[1:2] == ["--guided-child"]:
        return guided_child(sys.argv[2], sys.argv[3:])
    if sys.argv[1:2] == ["--blind-child"]:
        name, count, span_s, seed, work = sys.argv[2:]
        return blind_child(name, int(count), float(span_s), int(seed), Path(work))
    from tests.fuzz.targets import TARGETS

    args = _arguments()
    names = args.target or list(TARGETS)
    if args.file:
        for path in args.file:
            TARGETS[names[0]](path.read_bytes())
        print("every promise holds")
        return 0
    with_coverage = importlib.util.find_spec("atheris") is not None and not args.blind
    print("guided by coverage (atheris)" if with_coverage else "blind: no coverage", f"seed {args.seed}", flush=True)
    tallies = [Tally(name) for name in names]
    inputs = args.inputs or (-(-args.total // len(names)) if args.total else _MOST_INPUTS)
    seconds = args.seconds * args.jobs / len(names) if inputs == _MOST_INPUTS else float("inf")
    _run_all(tallies, inputs, seconds, with_coverage, args)
    print("\n".join(tally.line() for tally in tallies))
    crashes = [path for tally in tallies for path in tally.crashes]
    all_inputs = sum(tally.inputs for tally in tallies)
    print(f"in all     {all_inputs:>11,} inputs, at least {min(tally.inputs for tally in tallies):,} of each target")
    for path in crashes:
        print(f"  saved: {path}")
    return 1 if crashes else 0


def _run_all(tallies: list[Tally], inputs: int, seconds: float, with_coverage: bool, args: argparse.Namespace) -> None:
    """As many targets at once as there are jobs; says now and then how far they are."""
    # libFuzzer counts whole seconds and knows no infinity
    span_s = min(seconds, 10e6)
    run, ended = (guided if with_coverage else blind), threading.Event()

    def tell() -> None:
        while not ended.wait(_PROGRESS_S):
            done = sum(tally.finished for tally in tallies)
            at_work = ", ".join(f"{one.name} {one.inputs:,}" for one in tallies if one.inputs and not one.finished)
            total = sum(tally.inputs for tally in tallies)
            print(f"{time.strftime('%H:%M:%S')} {total:,} inputs, {done} of {len(tallies)} done; {at_work}", flush=True)

    teller = threading.Thread(target=tell, daemon=True)
    teller.start()
    with ThreadPoolExecutor(args.jobs) as pool:
        for one in [pool.submit(run, tally, inputs, span_s, args.work, args.seed) for tally in tallies]:
            one.result()
    ended.set()


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        "python -m tests.fuzz", description=__doc__, epilog=EPILOG, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--target", action="append", metavar="NAME", help="repeatable; default: all")
    parser.add_argument("--seconds", type=float, default=60.0, help="shared by the targets (default: 60)")
    parser.add_argument("--inputs", type=int, help="for each target, instead of --seconds")
    parser.add_argument("--total", type=int, help="of all targets together, as many of each, instead of --seconds")
    parser.add_argument("--jobs", type=int, default=os.cpu_count() or 1, help="targets at once (default: one a core)")
    parser.add_argument("--seed", type=int, default=time.time_ns() % (1 << 31), help="default: the clock")
    parser.add_argument("--blind", action="store_true", help="without coverage, also where atheris is installed")
    parser.add_argument("--file", type=Path, action="append", help="check these files once, instead of fuzzing")
    parser.add_argument("--work", type=Path, default=Path(tempfile.gettempdir()) / "receiver-fuzz", help="work folder")
    return parser.parse_args()


if __name__ == "__main__":
    sys.exit(main())
