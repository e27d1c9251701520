"""Files that are written as a whole: whoever reads one finds what was there before, or all of the new."""

import errno
import os
import shutil
from collections.abc import Sequence
from pathlib import Path


def write_whole(path: Path, pieces: Sequence[bytes | memoryview], *, spare_bytes: int) -> None:
    """Replace ``path`` in one step, for its owner only. One writer at a time. Raises ``OSError``, and leaves everything
    as it was, also where the disk would have less than ``spare_bytes`` left."""
    if shutil.disk_usage(path.parent).free < sum(map(len, pieces)) + spare_bytes:
        raise OSError(errno.ENOSPC, "it would take what journal.min_free_bytes leaves free")
    draft = path.with_name(f".{path.name}.{os.getpid()}")
    remove_drafts(path)
    descriptor = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    try:
        with os.fdopen(descriptor, "wb") as file:
            file.writelines(pieces)
            file.flush()
            os.fsync(descriptor)
        draft.replace(path)
    except BaseException:
        draft.unlink(missing_ok=True)
        raise


def remove_drafts(path: Path) -> None:
    """What was left half written beside ``path`` goes. Raises ``OSError``."""
    for draft in path.parent.glob(f".{path.name}.*"):
        draft.unlink(missing_ok=True)
