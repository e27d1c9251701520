"""Arguments that several commands take, and how their text is read."""

import argparse
import math
import re
import sys
import time
from pathlib import Path

from receiver.events import parse_time
from receiver.settings import Settings, load

_UNIT_S = {"s": 1, "m": 60, "h": 3600, "d": 86400, "w": 604800}
_AGO = re.compile(r"(\d+(?:\.\d+)?)([smhdw])(?: ago)?")


def add_server_options(parser: argparse.ArgumentParser) -> None:
    """``--config`` and ``--data`` of commands that work on the data folder of a server."""
    parser.add_argument("--config", type=Path, metavar="FILE", help="TOML file of the server")
    parser.add_argument("--data", metavar="DIR", help="data folder of the server, in place of data_dir")


def server_journal(arguments: argparse.Namespace) -> tuple[Settings, Path]:
    """The server's settings, whose secrets are not needed, and its journal's folder; says so where there is none."""
    settings = load(arguments.config, data_dir=arguments.data, need_secrets=False)
    folder = settings.data_dir / "journal"
    if not folder.is_dir():
        sys.stderr.write(f"receiver: no journal in {settings.data_dir}: no server has run there yet\n")
    return settings, folder


def speed(text: str) -> float:
    """A factor of real time; 0 = as fast as it goes."""
    try:
        value = float(text)
    except ValueError:
        value = math.nan
    if not 0.0 <= value < math.inf:
        raise argparse.ArgumentTypeError(f"found {text}, allowed a number from 0")
    return value


def count(text: str) -> int:
    """A whole number from 1."""
    if not text.isdecimal() or int(text) < 1:
        raise argparse.ArgumentTypeError(f"found {text}, allowed a whole number from 1")
    return int(text)


def moment(text: str) -> int:
    """Nanoseconds since the epoch: ISO 8601 (UTC where it names no zone), an age such as ``2h``, or ``now``."""
    age = _AGO.fullmatch(text.strip())
    if age is not None:
        return time.time_ns() - int(float(age[1]) * _UNIT_S[age[2]] * 1e9)
    if text.strip() == "now":
        return time.time_ns()
    moment = parse_time(text)
    if moment is None:
        raise argparse.ArgumentTypeError(
            f"{text!r} is no time; allowed ISO 8601 such as 2026-06-10T09:00, or an age such as 90s, 30m, 2h, 7d"
        )
    return moment
