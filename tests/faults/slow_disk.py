"""``python -m tests.faults.slow_disk serve --config …``: the real server on a disk that writes so many bytes a second.

``RECEIVER_DISK_BYTES_PER_S`` says how many; each commit also takes 5 ms. Nothing else is different.
"""

import os
import sys
import time
from collections.abc import Iterable

from receiver.cli import main
from receiver.journal.segment import Segment
from receiver.record import Record

_COMMIT_S = 0.005
_append = Segment.append


def _slowly(self: Segment, records: Iterable[Record], *, sync: bool) -> None:
    group = list(records)
    size = sum(len(record.payload) for record in group)
    time.sleep(_COMMIT_S + size / float(os.environ["RECEIVER_DISK_BYTES_PER_S"]))  # in the lane's own thread
    _append(self, group, sync=sync)


if __name__ == "__main__":
    Segment.append = _slowly  # type: ignore[method-assign]
    sys.exit(main())
