"""``python -m tests.benchmarks``: one page of figures, ours and its peers side by side in the same run.

Everything runs on this machine: the server on one core, the load on another. Contenders take turns within each round,
so that whatever else the machine does meets all of them; a ratio is the median over rounds. What comes out of a run
is printed row by row, and written as JSON in the end, also when it is interrupted.
"""

import argparse
import contextlib
import os
import platform
import shutil
import signal
import sys
import time
from collections.abc import Callable
from importlib import metadata
from pathlib import Path

import msgspec

from tests.benchmarks import contenders, frames, posts, start
from tests.benchmarks.rows import Row

_EXAMPLES = """examples:
  python -m tests.benchmarks                       everything
  python -m tests.benchmarks --quick               shorter, with wider spreads
  python -m tests.benchmarks --quick --only frames one row
"""
_LIBRARIES = ("aiohttp", "fastapi", "httptools", "picows", "uvicorn", "uvloop", "websockets")
#: name on the command line: the rows of a quick run, and of a full one
MEASUREMENTS: dict[str, tuple[Callable[[], list[Row]], Callable[[], list[Row]]]] = {
    "callbacks": (
        lambda: [posts.callbacks_a_second(1, 3.0)],
        lambda: [posts.callbacks_a_second(5, 10.0)],
    ),
    "answers": (
        lambda: [posts.answer_times(2, 4.0, rate) for rate in (1000.0, 2000.0)],
        lambda: [posts.answer_times(5, 20.0, rate) for rate in (1000.0, 2000.0)],
    ),
    "frames": (
        lambda: [frames.frames_a_second(1, 2.0)],
        lambda: [frames.frames_a_second(5, 10.0)],
    ),
    "start": (
        lambda: [start.start_and_idle(1, 200)],
        lambda: [start.start_and_idle(5, 1000)],
    ),
}


class Page(msgspec.Struct):
    """A run: where, when, of what, and what came out."""

    machine: str
    date: str
    versions: dict[str, str]
    quick: bool
    rows: list[Row]
    skipped: dict[str, str] = {}


def main(arguments: list[str] | None = None) -> int:
    """Exit code: 0, 1 where a row could not be measured, 130 where it was interrupted."""
    parser = argparse.ArgumentParser(
        prog="python -m tests.benchmarks", description=__doc__, epilog=_EXAMPLES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )  # fmt: skip
    parser.add_argument("--quick", action="store_true", help="fewer and shorter rounds")
    parser.add_argument("--only", choices=MEASUREMENTS, action="append", help="this row alone; may be repeated")
    parser.add_argument("--json", type=Path, default=Path("benchmarks.json"), metavar="FILE", help="where to write it")
    args = parser.parse_args(arguments)
    page = Page(_machine(), time.strftime("%Y-%m-%d %H:%M:%S %z"), _versions(), args.quick, [])
    print(f"{page.machine}\n{page.date}  {', '.join(f'{name} {is_}' for name, is_ in page.versions.items())}\n")
    contenders.pin_load()
    signal.signal(signal.SIGTERM, signal.default_int_handler)  # as Ctrl-C: the servers are ended too
    try:
        for name in args.only or MEASUREMENTS:
            _measure(page, name)
    except KeyboardInterrupt:
        page.skipped["interrupted"] = "the rows that are missing were not measured"
        return 130
    finally:
        args.json.write_bytes(msgspec.json.format(msgspec.json.encode(page)) + b"\n")
    return 1 if page.skipped else 0


def _measure(page: Page, name: str) -> None:
    quick, full = MEASUREMENTS[name]
    if name == "callbacks" and shutil.which("wrk") is None:
        page.skipped[name] = "there is no wrk: apt-get install wrk"
        print(f"{name}: skipped, {page.skipped[name]}\n")
        return
    print(f"measuring {name} ...", file=sys.stderr, flush=True)
    begun_s = time.monotonic()
    try:
        rows = quick() if page.quick else full()
    except (RuntimeError, OSError) as error:
        page.skipped[name] = str(error)
        print(f"{name}: not measured, {error}\n", flush=True)
        return
    print(f"{name} took {time.monotonic() - begun_s:.0f} s", file=sys.stderr)
    page.rows += rows
    for row in rows:
        print(row.text(), flush=True)


def _machine() -> str:
    model = "unknown processor"
    with contextlib.suppress(OSError):
        lines = Path("/proc/cpuinfo").read_text().splitlines()
        model = next((line.partition(": ")[2] for line in lines if line.startswith("model name")), model)
    return f"{model}, {os.cpu_count()} cores, {platform.system()} {platform.release()}"


def _versions() -> dict[str, str]:
    found = {"Python": platform.python_version()}
    for name in _LIBRARIES:
        with contextlib.suppress(metadata.PackageNotFoundError):
            found[name] = metadata.version(name)
    return found


if __name__ == "__main__":
    raise SystemExit(main())
