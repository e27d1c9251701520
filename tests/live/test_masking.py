"""What is hidden from a reader: names of people, what was said; wherever the contract and the answers have them."""

import asyncio
import json
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from receiver.delivery.pace import Pace
from receiver.errors import ConfigError
from receiver.events import (
    DATA_TYPES,
    Data,
    Event,
    FetchedArtifact,
    Message,
    Participant,
    ParticipantChange,
    Person,
    Segment,
    VendorBody,
)
from receiver.journal.base import EVENTS, MEDIA, QUARANTINE
from receiver.journal.lane import LaneLimits
from receiver.journal.sqlite import SqliteJournal
from receiver.live.audio.feeds import Feeds, Seat
from receiver.live.audio.listening import Gap, Listening
from receiver.live.audio.query import Wish
from receiver.live.masking import HIDDEN, Mask
from receiver.meetings.book import MeetingBook
from receiver.settings import from_dict
from tests.live.readers import reading
from tests.live.test_access import bearer
from tests.live.test_meetings import AT, DELIVERIES, deliver, get, known
from tests.live_audio.chunks import BOT, decode
from tests.live_audio.house import Bot
from tests.live_audio.tape import Tape
from tests.support import running, settings_dict

NAME, SAID = "Ada Lovelace", "the secret plan"
NAMES, TEXT, BOTH = Mask(True, False, b"k"), Mask(False, True, b"k"), Mask(True, True, b"k")
#: keys that hold what was said, and those that tell who somebody is
SPOKEN, PEOPLE = {"text", "formatted_text", "new_text", "title", "message", "notes"}, {"name", "email", "user_id", "to"}


def filled(kind: Any) -> Any:
    """A value of a type with a marker in each key that is to be hidden."""
    if isinstance(kind, type) and issubclass(kind, msgspec.Struct):
        told: dict[str, Any] = {}
        for field in msgspec.structs.fields(kind):
            if field.name in SPOKEN:
                told[field.name] = SAID
            elif field.name in PEOPLE:
                told[field.name] = NAME
            elif field.name in ("attributes", "body"):
                told[field.name] = {"a": NAME, "b": SAID}
            elif field.name == "keywords":
                told[field.name] = [f"{NAME} {SAID}"]
            elif (inner := _struct_in(field.type)) is not None:
                value = filled(inner)
                told[field.name] = [value] if "list" in str(field.type) else value
            elif field.required:
                told[field.name] = _any(field.type)
        return kind(**told)
    raise AssertionError(kind)


def _struct_in(kind: Any) -> Any:
    for one in (kind, *getattr(kind, "__args__", ())):
        if isinstance(one, type) and issubclass(one, msgspec.Struct):
            return one
        if one is not kind and (found := _struct_in(one)) is not None:
            return found
    return None


def _any(kind: Any) -> Any:
    for value in ("recording", "audio", 1, "x"):
        try:
            return msgspec.convert(value, kind)
        except msgspec.ValidationError:
            continue
    raise AssertionError(kind)


def event(data: Data, kind: str) -> Event:
    return Event(id="1", source="/v/e", type=kind, time_ns=1, received_ns=2, sequence=3, subject="bot-1", data=data,
                 raw=f"{NAME} {SAID}".encode())  # fmt: skip


@pytest.mark.parametrize("kind", DATA_TYPES)
@pytest.mark.parametrize("mask", [NAMES, TEXT, BOTH])
def test_no_type_of_the_contract_tells_what_is_hidden(kind: str, mask: Mask) -> None:
    """Each type, filled as far as it goes; a type that comes later is looked at here by itself."""
    told = event(filled(DATA_TYPES[kind]), kind)
    before = told.json().decode()
    after = mask.event(told).json(raw=True).decode()
    assert not (mask.names and NAME in after)
    assert not (mask.text and SAID in after)
    assert told.json().decode() == before  # others get it as it is


def test_people_are_told_apart_all_the_same() -> None:
    """One pseudonym a person and reader, which nobody finds by trying names without the reader's key."""

    def called(mask: Mask, **who: Any) -> str | None:
        data = mask.event(event(ParticipantChange(participant=Participant(**who)), "participant.joined")).data
        assert isinstance(data, ParticipantChange)
        return data.participant.name

    ada = called(NAMES, id="1", name="Ada")
    assert ada == called(NAMES, id="1", name="Ada L.") != called(NAMES, id="2", name="Ada")
    assert (
        ada is not None and ada.startswith("Person ") and ada != called(Mask(True, False, b"other"), id="1", name="Ada")
    )


@pytest.mark.parametrize("id_", ["Ada", "ada@example.org"])
def test_an_id_that_is_a_name_is_hidden(id_: str) -> None:
    """Some vendors have no better one."""
    shown = NAMES.apply(Person(id=id_, name="Ada"))
    assert shown.id is not None and shown.id.startswith("Person ")
    assert NAMES.apply(Person(id="spk_1", name="Ada")).id == "spk_1"


def test_a_vendors_own_body_goes_as_a_whole() -> None:
    """Nobody knows what is in it."""
    data = NAMES.event(event(VendorBody(body={"x": [NAME]}), "vendor.event")).data
    assert isinstance(data, VendorBody) and data.body == {}


WRITTEN = f"Ada: {SAID}. Ada Lovelace will write."


@pytest.mark.parametrize("mask", [NAMES, TEXT, BOTH])
def test_what_a_vendor_has_written_of_a_meeting_goes_as_a_whole(mask: Mask) -> None:
    """It calls people by their names in the middle of a sentence. Segments keep their words where only names go."""
    told = FetchedArtifact(
        kind="transcript", text=WRITTEN, notes=WRITTEN, keywords=["Ada"], title="Weekly", body={"a": WRITTEN},
        segments=[Segment(text="Good morning.", speaker=Person(id="Ada", name="Ada"))],
        participants=[Participant(name=NAME, email="ada@example.org")],
        messages=[Message(text="Hello.", sender=Person(name=NAME), to=NAME)],
    )  # fmt: skip
    masked = mask.apply(told)
    assert (masked.text, masked.notes, masked.keywords, masked.body) == (HIDDEN, HIDDEN, None, {})
    assert masked.segments and masked.messages and masked.participants
    assert (masked.segments[0].text == HIDDEN) == (masked.messages[0].text == HIDDEN) == mask.text
    if mask.names:
        assert "Ada" not in repr(masked) and "ada@" not in repr(masked)
    assert (masked.title == HIDDEN) == mask.text


def test_a_fetched_meeting_is_masked_as_a_live_one_is() -> None:
    """Summary, list of participants, and the transcript that the vendor made."""
    book = MeetingBook()
    for number, kind in enumerate(("transcript", "summary", "participants")):
        data = msgspec.structs.replace(filled(FetchedArtifact), kind=kind)
        if kind == "transcript":
            data.text = None
        one = event(data, "artifact.fetched")
        one.id = str(number)
        book.fold([one])
    views: list[Any] = [book.meeting("bot-1"), book.transcript("bot-1", None, "fetched")]
    assert NAME in repr(views[0]) and NAME in repr(views[1]) and SAID in repr(views[1])
    for mask in (NAMES, TEXT, BOTH):
        masked = repr([mask.apply(view) for view in views])
        assert (NAME in masked) <= (not mask.names) and (SAID in masked) <= (not mask.text)


@given(st.sampled_from(list(DATA_TYPES)), st.sampled_from([NAMES, TEXT, BOTH]))
def test_masking_twice_is_masking_once_for_what_was_said(kind: str, mask: Mask) -> None:
    """Nothing of the original is needed the second time."""
    once = mask.apply(filled(DATA_TYPES[kind]))
    twice = mask.apply(once)
    assert NAME not in repr(twice) or not mask.names
    assert SAID not in repr(twice) or not mask.text


READERS = {
    "plain": {"token_env": "PLAIN"},
    "masked": {"token_env": "MASKED", "scopes": ["events", "meetings"], "redact": ["names", "text"]},
}
ENVIRON = {"PLAIN": "plain-token", "MASKED": "masked-token"}


async def test_each_reader_gets_his_own(tmp_path: Path) -> None:
    """Events, meetings and transcript files of the same server at the same time."""
    async with running(tmp_path, ENVIRON, readers=READERS) as server:
        await deliver(server, *DELIVERIES)
        for token, sees in (("plain-token", True), ("masked-token", False)):
            async with reading(server, "?after=0&types=transcript.*", headers=bearer(token)) as events:
                told = json.dumps((await anext(events))["data"])
            assert ("Good morning" in told, "Ada" in told, HIDDEN in told) == (sees, sees, not sees)
            options = {"headers": bearer(token)}
            await known(server, **options)
            for path in (AT, f"{AT}/transcript.json", f"{AT}/transcript.vtt", "/meetings"):
                status, _, text = await get(server, path, **options)
                assert status == 200
                assert ("Ada" in text or "Good morning" in text) <= sees


async def test_who_needs_no_token_sees_no_more(tmp_path: Path) -> None:
    """``[live] redact`` holds for this machine too, whose sound is silent then."""
    async with running(tmp_path, live={"redact": ["text"]}) as server:
        await deliver(server, *DELIVERIES)
        await known(server)
        assert "Good morning" not in (await get(server, f"{AT}/transcript.txt"))[2]
        assert (await get(server, "/live/audio/x.wav"))[0] == 403


def test_sound_cannot_be_redacted(tmp_path: Path) -> None:
    """A reader from whom words are hidden may not have it, which is said at the start."""
    for sections in (
        {"readers": {"r": {"token": "auto", "redact": ["text"]}}},
        {"live": {"redact": ["text"]}, "readers": {"r": {"token": "auto"}}},
    ):
        with pytest.raises(ConfigError, match=r"readers\.r\.scopes: found \"audio\" while what is said is redacted"):
            from_dict(settings_dict(tmp_path, **sections), {})


def test_a_meeting_is_masked_in_all_its_parts() -> None:
    """Whatever a book knows."""
    book = MeetingBook()
    for number, (kind, data_type) in enumerate(DATA_TYPES.items()):
        one = event(filled(data_type), kind)
        one.id, one.sequence = str(number), number + 1
        book.fold([one])
    views: list[Any] = [book.meetings(), book.meeting("bot-1"), book.transcript("bot-1")]
    assert NAME in repr(views) and SAID in repr(views)
    masked = repr([BOTH.apply(view) for view in views])
    assert NAME not in masked and SAID not in masked


async def test_who_sees_no_names_asks_for_a_speaker_by_the_label_that_he_sees(tmp_path: Path) -> None:
    """So the page shows him how loud each is; a name, which he does not know, is nobody: asking proves nothing."""
    journal = SqliteJournal(tmp_path, dict.fromkeys((EVENTS, MEDIA, QUARANTINE), LaneLimits()))
    feeds = Feeds(journal, decode, 0.2, Pace(lambda: journal.head))
    bot = Bot(journal)
    label = NAMES.apply(Person(name=NAME)).name
    assert label is not None and label != NAME
    heard: dict[str, bool] = {}

    async def hear(seat: Seat, speaker: str) -> None:
        tape = Tape()
        async for part in Listening(seat, Wish(speaker=speaker), 30.0, NAMES).sounds(tape):
            assert not isinstance(part, Gap)
            tape.send(part)
        heard[speaker] = bool(tape.sound.any())

    async with asyncio.TaskGroup() as tasks:
        follower = tasks.create_task(feeds.run())
        await bot.opens()
        async with feeds.listen(BOT, 30) as seat, asyncio.TaskGroup() as listeners:
            for speaker in (label, NAME):
                listeners.create_task(hear(seat, speaker))
            await bot.says(np.full((3200, 1), 5000, np.int16), speaker=NAME)
            await bot.closes()
        follower.cancel()
    await journal.close()
    assert heard == {label: True, NAME: False}
