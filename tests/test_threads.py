"""What several threads use at once is complete before there are any."""

import gc
import subprocess
import sys

import msgspec

from receiver.events import DATA_TYPES
from receiver.journal import dead
from sinks import filelog

#: used by the event loop and by threads: files and dead letters are read in some
SHARED: list[type] = [*set(DATA_TYPES.values()), filelog._Line, dead._Packed]
#: two threads that use a type for the first time
_RACE = """
import sys, threading, msgspec
sys.setswitchinterval(1e-6)
for number in range(2000):
    inner = msgspec.defstruct("Inner", [("id", str | None, None), ("name", str, "")])
    type_ = msgspec.defstruct("Outer", [("p", inner | None, None), ("q", list[inner] | None, None), ("z", int, 0)])
    {prepare}
    both = threading.Barrier(2)
    def use():
        both.wait()
        msgspec.json.decode(b'{{"p":{{"id":"1"}},"q":[{{"id":"2"}}],"z":1}}', type=type_)
    threads = [threading.Thread(target=use) for _ in range(2)]
    for one in threads: one.start()
    for one in threads: one.join()
"""


def is_complete(type_: type) -> bool:
    """Whether msgspec has what it needs to know to decode ``type_``."""
    return any(type(one).__name__ == "StructInfo" for one in gc.get_referents(type_))


def test_types_that_threads_share_are_complete() -> None:
    """In a process that has imported them and decoded nothing."""
    look = "from tests.test_threads import *; print([one.__name__ for one in SHARED if not is_complete(one)])"
    told = subprocess.run([sys.executable, "-c", look], capture_output=True, text=True, check=True)
    assert told.stdout.strip() == "[]"


def test_one_that_was_not_used_is_not() -> None:
    """So the look above can fail."""
    assert not is_complete(msgspec.defstruct("Fresh", ["x"]))


def test_a_decoder_that_was_made_before_is_enough() -> None:
    """Without it the process ends by SIGSEGV, often in a second, as a server did at its start."""
    prepared = _RACE.format(prepare="msgspec.json.Decoder(type_)")
    subprocess.run([sys.executable, "-c", prepared], check=True, timeout=60)
