"""``python -m tests.benchmarks``: one page of figures, ours and its peers side by side in the same run.

Everything runs on this machine: the server on one core, the load on another. Contenders take turns within each round,
so that whatever else the machine does meets all of them; a ratio is the median over rounds. What comes out of a run
is printed row by row, and written as JSON in the end, also when it is interrupted.
"""

import argparse
import shutil
import signal
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from tests.benchmarks import catch_up, contenders, frames, posts, realtime, start
from tests.benchmarks.page import Machine, Page, machine, versions
from tests.benchmarks.rows import Row

_EPILOG = """\
rows:
{rows}

examples:
  python -m tests.benchmarks                          everything, 20 to 25 minutes
  python -m tests.benchmarks --quick                  everything, shorter: under 4 minutes, with wider spreads
  python -m tests.benchmarks --quick --only frames    one row
  python -m tests.benchmarks --only start --journal-gb 2 --json start.json
  MEETING_RECEIVER_KAFKA=real python -m tests.benchmarks --only sinks
                                                      with a Kafka broker (Java and Maven)

Have nothing else running. POSTs come from wrk (apt-get install wrk). Files are written below the current folder: have
20 GB free there (quick: 3). How to read it:
  ours, no sink   9,000 /s  (8,900 ... 9,100)  sender 55 %  ours x 1.10
                  the median over rounds, the least and the most, for how much of the time the sender was busy, and
                  how many times as much the first contender does, the median of the ratios of each round
  goal  ... >= 2: 2.31, met by 16 %
                  what the project wants to reach; "then" is the goal after that
exit status: 0 whatever was measured, for it is no test; 130 interrupted; 2 wrong usage
"""


#: from here on a row says so: what the kernel does for nobody in particular is less
_MANY_OTHERS = 0.15


@dataclass(frozen=True)
class Extent:
    """How much is measured."""

    quick: bool
    journal_bytes: int

    def pick(self, quick: int, full: int) -> int:
        """Rounds, seconds, sockets."""
        return quick if self.quick else full


@dataclass(frozen=True)
class Measurement:
    """``run`` gives the rows that ``about`` tells."""

    about: str
    run: Callable[[Extent], list[Row]]
    needs: str = ""


MEASUREMENTS = {
    "callbacks": Measurement(
        "durable POSTs a second against FastAPI and bare servers",
        lambda much: [posts.callbacks_a_second(much.pick(1, 5), much.pick(2, 5))],
        needs="wrk",
    ),
    "answers": Measurement(
        "time to the answer at 2,000 POSTs a second",
        lambda much: [posts.answer_times(much.pick(1, 3), much.pick(4, 15))],
    ),
    "frames": Measurement(
        "audio frames a second against FastAPI, websockets and bare servers",
        lambda much: [frames.frames_a_second(much.pick(1, 3), much.pick(2, 6))],
    ),
    "sockets": Measurement(
        "100 audio sockets in real time, then 1,000 (quick: 50, 200)",
        lambda much: [
            realtime.many_sockets(much.pick(50, 100), much.pick(5, 20)),
            realtime.many_sockets(much.pick(200, 1000), much.pick(5, 60)),
        ],
    ),
    "sinks": Measurement(
        "the same with the file sink and with Kafka behind them",
        lambda much: [
            realtime.sink_lags(much.pick(50, 100), much.pick(5, 20)),
            realtime.sink_lags(much.pick(200, 1000), much.pick(5, 20)),
        ],
    ),
    "catch-up": Measurement(
        "what a sink missed, delivered from disk",
        lambda much: [catch_up.catching_up(much.pick(1, 2), much.pick(4, 10), much.pick(8, 30))],
    ),
    "start": Measurement(
        "start, empty and with a full journal; memory and processor time at rest",
        lambda much: [
            start.start_and_idle(much.pick(1, 3), 1000),
            start.start_with_journal(much.pick(1, 3), much.journal_bytes),
        ],
    ),
}


def main(arguments: list[str] | None = None) -> int:
    """Exit code: 0; 130 where it was interrupted."""
    args = parser().parse_args(arguments)
    gigabytes = args.journal_gb or (0.2 if args.quick else 10.0)
    much = Extent(args.quick, round(gigabytes * 1e9))
    page = Page(machine(), time.strftime("%Y-%m-%d %H:%M %z"), versions(), contenders.PINS.text, args.quick)
    print(page.head(), flush=True)
    contenders.pin_load()
    signal.signal(signal.SIGTERM, signal.default_int_handler)  # as Ctrl-C: the servers are ended too
    whole, status = Machine(), 0
    try:
        for name in args.only or MEASUREMENTS:
            measure(page, name, MEASUREMENTS[name], much)
    except KeyboardInterrupt:
        page.skipped["interrupted"] = "the rows that are missing were not measured"
        status = 130
    finally:
        page.others = whole.others()
        args.json.write_bytes(page.json())
    print(page.tail(), end="")
    return status


def measure(page: Page, name: str, one: Measurement, much: Extent) -> None:
    """Print what came of it and put it onto ``page``; where nothing did, why. Progress goes to standard error."""
    print(f"measuring {name} ...", file=sys.stderr, flush=True)
    begun_s, around = time.monotonic(), Machine()
    try:
        if one.needs and shutil.which(one.needs) is None:
            raise RuntimeError(f"there is no {one.needs}: apt-get install {one.needs}")
        rows = one.run(much)
    except Exception as error:  # whatever went wrong with one row, the others are measured
        page.skipped[name] = told = _told(error)
        print(f"{name}: not measured, {told}", file=sys.stderr, flush=True)
        return
    print(f"{name} took {time.monotonic() - begun_s:.0f} s", file=sys.stderr)
    page.rows += rows
    others = around.others()
    for row in rows:
        if others > _MANY_OTHERS:
            row.remarks.append(
                f"disturbed: {100 * others:.0f} % of all cores' time went to others while this was measured"
            )
        print(row.text(), flush=True)


def _told(error: Exception) -> str:
    while isinstance(error, ExceptionGroup):
        error = error.exceptions[0]
    return str(error) if isinstance(error, RuntimeError) else f"{type(error).__name__}: {error}"


def parser() -> argparse.ArgumentParser:
    """The command line."""
    rows = "\n".join(f"  {name:<11}{one.about}" for name, one in MEASUREMENTS.items())
    made = argparse.ArgumentParser(
        prog="python -m tests.benchmarks", description=__doc__, epilog=_EPILOG.format(rows=rows),
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )  # fmt: skip
    made.add_argument("--quick", action="store_true", help="fewer and shorter rounds")
    made.add_argument("--only", choices=MEASUREMENTS, action="append", help="this row alone; may be repeated")
    made.add_argument(
        "--journal-gb", type=_size, metavar="GB", help="size of the journal to start with (10; quick: 0.2)"
    )
    made.add_argument("--json", type=Path, default=Path("benchmarks.json"), metavar="FILE", help="where to write it")
    return made


def _size(text: str) -> float:
    value = float(text)
    if not 0.01 <= value <= 1000:
        raise argparse.ArgumentTypeError(f"found {text}, allowed 0.01 to 1000")
    return value


if __name__ == "__main__":
    raise SystemExit(main())
