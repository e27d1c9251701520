"""A file is there as it was, or as a whole anew."""

from pathlib import Path

import pytest

from receiver.journal.wholefile import remove_drafts, write_whole


def names(folder: Path) -> list[str]:
    return sorted(one.name for one in folder.iterdir())


def test_it_is_replaced_for_its_owner_only(tmp_path: Path) -> None:
    path = tmp_path / "keys"
    path.write_bytes(b"old")
    write_whole(path, [b"new", memoryview(b" and longer")], spare_bytes=0)
    assert path.read_bytes() == b"new and longer" and path.stat().st_mode & 0o777 == 0o600
    assert names(tmp_path) == ["keys"]


def test_what_the_disk_has_no_room_for_is_not_begun(tmp_path: Path) -> None:
    path = tmp_path / "keys"
    path.write_bytes(b"old")
    with pytest.raises(OSError, match="min_free_bytes"):
        write_whole(path, [b"new"], spare_bytes=1 << 60)
    assert path.read_bytes() == b"old" and names(tmp_path) == ["keys"]


def test_a_failure_leaves_all_as_it_was(tmp_path: Path) -> None:
    path = tmp_path / "keys"
    path.mkdir()  # cannot be replaced by a file
    with pytest.raises(OSError, match="directory"):
        write_whole(path, [b"new"], spare_bytes=0)
    assert names(tmp_path) == ["keys"]


def test_drafts_of_a_killed_process_go(tmp_path: Path) -> None:
    """With the next writing, or when asked; other files stay."""
    path, other = tmp_path / "keys", tmp_path / ".keysmith.1"
    for one in (tmp_path / ".keys.4711", other):
        one.write_bytes(b"half")
    write_whole(path, [b"new"], spare_bytes=0)
    assert names(tmp_path) == [".keysmith.1", "keys"]
    (tmp_path / ".keys.4712").write_bytes(b"half")
    remove_drafts(path)
    assert names(tmp_path) == [".keysmith.1", "keys"]
