"""Events as lines for people."""

import unicodedata

import pytest
from hypothesis import given
from hypothesis import strategies as st

from receiver.events import DATA_TYPES, Artifact, Event, Person, Transcript, VendorBody
from sinks.text import MOST_CHARACTERS, text_line
from tests.sinks.factories import make_event, one_of_each

EXPECTED = {
    "bot.status": "bot stopped (kicked, code 42)",
    "recording.status": "recording paused (rec-1)",
    "meeting.created": "meeting created (Weekly)",
    "meeting.deleted": "meeting deleted (Weekly)",
    "meeting.started": "meeting started (Weekly)",
    "meeting.ended": "meeting ended (Weekly)",
    "participant.joined": "Ada joined (host, after 312.4 s)",
    "participant.left": "Ada left (host, after 312.4 s)",
    "participant.updated": "Ada updated (host, after 312.4 s)",
    "transcript.partial": "Ada: Good mor …",
    "transcript.final": "Ada: Good morning.",
    "chat.message": "Ada (chat to Bob): Hello",
    "audio.chunk": "audio of Ada (0.100 s, pcm_s16le 16000 Hz × 1, 500 bytes, 20 ms gap before)",
    "video.chunk": "video (h264, fmp4, 1280×720, 500 bytes)",
    "stream.opened": "audio stream opened (c2, resumes c1)",
    "stream.closed": "audio stream closed (c1, code 1006, broken off, 3 messages)",
    "artifact.ready": "recording ready (12.0 s, 1000 bytes)",
    "artifact.failed": "transcript failed (no speech)",
    "artifact.skipped": "summary skipped",
    "artifact.fetched": "transcript fetched (2 segments)",
    "data.deleted": "data deleted (3 objects)",
    "control.message": "control usermsg by Ada: stop",
    "vendor.event": "vendor event ? (event, secret_payload)",
}


@pytest.mark.parametrize("event", one_of_each(), ids=lambda event: event.type)
def test_each_type_has_a_line_with_time_subject_and_what_happened(event: Event) -> None:
    """Time HH:MM:SS in UTC, the bot or meeting in brackets, then what a person wants to know."""
    assert text_line(event) == f"09:30:05 [bot-7] {EXPECTED[event.type]}"


def test_the_table_covers_the_contract() -> None:
    """Every event type of the contract is shown on purpose, none by its bare name."""
    assert set(EXPECTED) == set(DATA_TYPES)


def test_media_and_vendor_bodies_are_never_dumped() -> None:
    """Of bytes only the count is shown, of a vendor's body only the names of its keys."""
    lines = "\n".join(text_line(event) for event in one_of_each())
    assert "[31m" not in lines
    assert "do not show" not in lines


def test_a_signed_url_is_shown_only_with_secrets() -> None:
    """The rule of every sink: URLs that open without a password need ``secrets = true``."""
    event = make_event(data=Artifact(kind="audio", url="https://files/signed"), type="artifact.ready")
    assert "https" not in text_line(event)
    assert text_line(event, secrets=True).endswith("audio ready https://files/signed")


@pytest.mark.parametrize(
    ("said", "shown"),
    [
        ("two\nlines\r\nand\u2028more", "two lines and more"),
        ("\x1b[31mred\x1b[0m", "\ufffdred\ufffd"),
        ("\x1b]0;title\x07", "\ufffd]0;title\ufffd"),
        ("\x9b2Jgone", "\ufffdgone"),
        ("bell\x07 nul\x00 del\x7f", "bell\ufffd nul\ufffd del\ufffd"),
        ("back\u202ewards", "back\ufffdwards"),
        ("lone \ud800 surrogate", "lone \ufffd surrogate"),
        ("naïve 👩‍💻 日本語", "naïve 👩‍💻 日本語"),
    ],
)
def test_what_would_steer_the_terminal_is_replaced(said: str, shown: str) -> None:
    """Control characters, escape sequences and direction overrides become U+FFFD; line breaks become a space."""
    event = make_event(data=Transcript(text=said, speaker=Person(name="Ada")))
    assert text_line(event) == f"09:30:05 [bot-7] Ada: {shown}"


@given(text=st.text(), name=st.text(), subject=st.text(), key=st.text())
def test_no_vendor_string_makes_a_second_line(text: str, name: str, subject: str, key: str) -> None:
    """Whatever stands in text, names, ids and keys: one line, no control character, encodable, never an exception."""
    said = Transcript(text=text, speaker=Person(name=name))
    vendor = make_event(data=VendorBody(body={key: 1}), type="vendor.event", vendorevent=name, subject=subject)
    for line in (text_line(make_event(data=said, subject=subject)), text_line(vendor)):
        assert len(line.splitlines()) == 1
        assert not any(unicodedata.category(character) in ("Cc", "Cs", "Zl", "Zp") for character in line)
        line.encode()


def test_a_line_has_a_longest_length() -> None:
    """A text of megabytes is cut, with a sign that it was."""
    line = text_line(make_event(data=Transcript(text="x" * 100_000)))
    assert len(line) == MOST_CHARACTERS
    assert line.endswith("…")


def test_nobody_in_particular_is_a_question_mark() -> None:
    """A line without speaker and without subject stays readable."""
    assert text_line(make_event(data=Transcript(text="hello"), subject="")) == "09:30:05 ?: hello"
