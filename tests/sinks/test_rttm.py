"""RTTM: who spoke when, beside the audio."""

from pathlib import Path

import pytest

from sinks.rttm import OpenTurn, Turns, field
from tests.sinks.test_wav import RATE_HZ, chunk, deliver, noise


def turns(folder: Path, name: str = "bot-1") -> list[tuple[float, float, str]]:
    """Start, duration and speaker of each line; every line is checked for its form."""
    found = []
    for line in (folder / f"audio/{name}.rttm").read_text(encoding="utf-8").splitlines():
        kind, file, channel, start, duration, *rest = line.split(" ")
        assert (kind, file, channel) == ("SPEAKER", name, "1")
        assert (rest[0], rest[1], rest[3], rest[4]) == ("<NA>",) * 4
        assert len(start.partition(".")[2]) == len(duration.partition(".")[2]) == 3
        found.append((float(start), float(duration), rest[2]))
    return found


async def test_turns_of_two_speakers(tmp_path: Path) -> None:
    """Chunks of one speaker in a row are one turn; nobody in particular is no line; times are those of the file."""
    who = ["Ada", "Ada", None, "Bob", "Bob", "Ada"]
    second = noise(RATE_HZ)
    events = [chunk(i + 1, second, i * RATE_HZ, speaker=name) for i, name in enumerate(who)]
    await deliver(tmp_path, events[:1], events[1:4], events[4:])
    assert turns(tmp_path) == [(0.0, 2.0, "Ada"), (3.0, 2.0, "Bob"), (5.0, 1.0, "Ada")]


@pytest.mark.parametrize(("pause_s", "lines"), [(0.25, 1), (0.26, 2)])
async def test_short_pauses_belong_to_the_turn(tmp_path: Path, pause_s: float, lines: int) -> None:
    """Up to a quarter of a second of silence one turn goes on."""
    pcm = noise(RATE_HZ)
    start = int(RATE_HZ * (1 + pause_s))
    await deliver(tmp_path, [chunk(1, pcm, 0, speaker="Ada")], [chunk(2, pcm, start, speaker="Ada")])
    assert len(turns(tmp_path)) == lines


async def test_restart_goes_on_in_the_last_turn(tmp_path: Path) -> None:
    """After a restart the open turn grows on, however many digits it takes, and no line is there twice."""
    pcm = noise(RATE_HZ * 4)
    events = [chunk(i + 1, pcm, i * RATE_HZ * 4, speaker="Ada" if i < 5 else "Bob") for i in range(7)]
    for count in range(1, 8):
        await deliver(tmp_path, events[:count])
    assert turns(tmp_path) == [(0.0, 20.0, "Ada"), (20.0, 8.0, "Bob")]


async def test_what_was_not_finished_is_put_right(tmp_path: Path) -> None:
    """Lines that a killed process wrote before it could finish the audio are replaced, not doubled."""
    pcm = noise(RATE_HZ)
    events = [chunk(i + 1, pcm, i * RATE_HZ, speaker=name) for i, name in enumerate(["Ada", "Bob", "Ada"])]
    await deliver(tmp_path, events[:1])
    wav, rttm = tmp_path / "audio/bot-1.wav", tmp_path / "audio/bot-1.rttm"
    before = wav.read_bytes()
    await deliver(tmp_path, events[1:])
    want = rttm.read_bytes()
    wav.write_bytes(before)
    rttm.write_bytes(want + b"SPEAKER bot-1 1 3.000 0.1")
    await deliver(tmp_path, events)
    assert rttm.read_bytes() == want
    assert turns(tmp_path)[-1] == (2.0, 1.0, "Ada")


async def test_removed_file_starts_again(tmp_path: Path) -> None:
    """Somebody may take the RTTM away: the next turn is written without a hole of zero bytes."""
    pcm = noise(RATE_HZ)
    events = [chunk(i + 1, pcm, i * RATE_HZ, speaker=name) for i, name in enumerate(["Ada", "Bob", "Ada"])]
    await deliver(tmp_path, events[:2])
    (tmp_path / "audio/bot-1.rttm").unlink()
    await deliver(tmp_path, events[2:])
    assert turns(tmp_path) == [(1.0, 1.0, "Bob"), (2.0, 1.0, "Ada")]


async def test_resampled_audio_keeps_the_times(tmp_path: Path) -> None:
    """Times are seconds of the file, whatever its rate."""
    pcm = noise(4800)
    events = [chunk(i + 1, pcm, i * 4800, rate_hz=48_000, speaker="Ada") for i in range(20)]
    await deliver(tmp_path, *([event] for event in events), rate_hz=8000)
    assert turns(tmp_path) == [(0.0, 2.0, "Ada")]


async def test_rotated_file_has_its_own(tmp_path: Path) -> None:
    """A new stream of the same subject: name-2.wav and name-2.rttm."""
    pcm = noise(RATE_HZ)
    await deliver(tmp_path, [chunk(1, pcm, 0, speaker="Ada"), chunk(2, pcm, 0, speaker="Bob")])
    assert turns(tmp_path) == [(0.0, 1.0, "Ada")]
    assert turns(tmp_path, "bot-1-2") == [(0.0, 1.0, "Bob")]


async def test_it_can_be_switched_off(tmp_path: Path) -> None:
    """rttm = false writes audio only; without a speaker there is no file either."""
    await deliver(tmp_path, [chunk(1, noise(10), 0, speaker="Ada", subject="a")], rttm=False)
    await deliver(tmp_path, [chunk(2, noise(10), 0, subject="b")])
    assert not list(tmp_path.rglob("*.rttm"))


@pytest.mark.parametrize(
    ("name", "label"),
    [
        ("Ada Lovelace", "Ada_Lovelace"),
        (" a\tb\nc\x00d ", "a_b_c_d"),
        ("Zoë 李", "Zoë_李"),
        ("a\u2028b\u202ec\x85d\xa0e", "a_b_c_d_e"),
        ("é" * 300, "é" * 100),
        ("  ", ""),
    ],
)
def test_labels_are_one_field(name: str, label: str) -> None:
    """A speaker's name comes from a stranger: it can neither end a field nor a line, and has a longest length."""
    assert field(name) == label
    assert len(label.split()) <= 1


async def test_longest_label_survives_a_restart(tmp_path: Path) -> None:
    """The open turn's label is kept beside the audio in full."""
    pcm = noise(RATE_HZ)
    await deliver(tmp_path, [chunk(1, pcm, 0, speaker="李" * 999)])
    await deliver(tmp_path, [chunk(2, pcm, RATE_HZ, speaker="李" * 999)])
    assert turns(tmp_path) == [(0.0, 2.0, "李" * 66)]


def test_file_name_is_one_field(tmp_path: Path) -> None:
    """Blanks in the audio file's name do not shift the fields."""
    book = Turns("my meeting", 1000, OpenTurn())
    book.add(0, 1500, "Ada")
    book.write(tmp_path / "x.rttm", sync=True)
    assert (tmp_path / "x.rttm").read_text() == "SPEAKER my_meeting 1 0.000 1.500 <NA> <NA> Ada <NA> <NA>\n"
