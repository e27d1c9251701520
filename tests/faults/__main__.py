"""``python -m tests.faults``: break a real server in every way that is promised to be survived, and balance the books.

Bounded in time and count; servers listen on 127.0.0.1 and are gone at the end. Exit status 0: every promise held.
"""

import argparse
import asyncio
import json
import sys
import tempfile
import time
import unittest
from dataclasses import asdict
from pathlib import Path

from tests.faults import SCENARIOS
from tests.faults.base import Options, Report, run, scenario

EPILOG = """examples:
  python -m tests.faults                      the short form of everything, as in continuous integration
  python -m tests.faults crash --long         1,000 kills; takes most of an hour
  python -m tests.faults crash --rounds 50 --seed 7
  python -m tests.faults --list               what there is
"""


def main() -> int:
    """Run what the arguments ask for; 1 where a promise did not hold."""
    args = _arguments()
    if args.list:
        for name in SCENARIOS:
            print(f"{name:10} {(scenario(name).__doc__ or '').partition(chr(10))[0]}")
        return 0
    reports: dict[str, Report] = {}
    for name in args.scenario or SCENARIOS:
        print(f"== {name}", flush=True)
        with tempfile.TemporaryDirectory(prefix=f"faults-{name}-", dir=args.work) as folder:
            options = Options(folder=Path(folder), long=args.long, seed=args.seed, rounds=args.rounds, say=_say)
            try:
                reports[name] = report = asyncio.run(run(name, options))
            except unittest.SkipTest as reason:
                print(f"   SKIPPED: {reason}", flush=True)
                continue
        print("\n".join(report.lines()))
        print(f"   {'held' if report.holds else 'DID NOT HOLD'}, {report.took_s:.0f} s", flush=True)
    if args.json is not None:
        args.json.write_text(json.dumps({name: asdict(report) for name, report in reports.items()}, indent=2))
    return 0 if all(report.holds for report in reports.values()) else 1


def _say(text: str) -> None:
    print(f"   {time.strftime('%H:%M:%S')} {text}", file=sys.stderr, flush=True)


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="python -m tests.faults", description=__doc__, epilog=EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )  # fmt: skip
    parser.add_argument("scenario", nargs="*", metavar="SCENARIO", help="which; all of them without one")
    parser.add_argument("--long", action="store_true", help="the long form")
    parser.add_argument("--rounds", type=int, default=0, help="rounds, in place of the scenario's own number")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument(
        "--work", type=Path, metavar="DIR", help="where the servers' folders lie; default: the system's"
    )
    parser.add_argument("--json", type=Path, metavar="FILE", help="write the reports there")
    parser.add_argument("--list", action="store_true", help="list the scenarios")
    args = parser.parse_args()
    if unknown := set(args.scenario) - set(SCENARIOS):
        parser.error(f"no such scenario: {', '.join(sorted(unknown))}; there are: {', '.join(SCENARIOS)}")
    return args


if __name__ == "__main__":
    sys.exit(main())
