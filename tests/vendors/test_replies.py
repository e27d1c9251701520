"""Answers of REST APIs as records: their keys, their last one, and what was given up, alike for all vendors."""

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from receiver.errors import Malformed
from receiver.events import Artifact, VendorBody
from receiver.record import Decoded, Record
from receiver.vendors import VENDORS, decode_record
from receiver.vendors.replies import (
    GAVE_UP,
    Seen,
    call_of,
    decode,
    done_of,
    gave_up_record,
    reply,
    reply_key,
    reply_record,
    seen_of,
)

NOW_NS = 1_780_000_000 * 10**9


def answer(body: bytes = b"{}", **keys: object) -> Record:
    told = {"subject": "bot-1", "content_type": "application/json", "now_ns": NOW_NS, **keys}
    return reply_record("meetstream", "default", "detail", body, **told)  # type: ignore[arg-type]


def given_up(kind: str, vendor: str = "meetstream") -> Record:
    return gave_up_record(
        vendor, "default", kind, "given up: not ready", subject="bot-1", now_ns=NOW_NS, done=f"{kind};;;bot-1"
    )  # fmt: skip


def test_an_answer_says_what_it_is_to_whom_and_whether_it_is_the_last() -> None:
    """In headers of our own, and in the state what was known before."""
    seen = Seen(statuses=frozenset({"b", "a"}))
    one = answer(seen=seen, done="detail;;;bot-1")
    assert (call_of(one), done_of(one), seen_of(one)) == ("detail", "detail;;;bot-1", seen)
    assert done_of(answer()) == "" and seen_of(answer()) is None


def test_whether_it_is_the_last_makes_no_other_answer_of_it() -> None:
    """Nor when it came; what was known before does."""
    assert reply_key(answer(done="x")) == reply_key(answer(now_ns=NOW_NS + 1))
    assert len({reply_key(one) for one in (answer(), answer(b"[]"), answer(subject="b"), answer(seen=Seen()))}) == 4


@pytest.mark.parametrize("vendor", VENDORS)
def test_what_was_given_up_is_a_failed_artifact_of_any_vendor(vendor: str) -> None:
    """With the reason; no vendor named the event."""
    (event,) = decode_record(given_up("transcript", vendor)).events
    assert (event.type, event.subject, event.vendorevent) == ("artifact.failed", "bot-1", "")
    assert event.data == Artifact(kind="transcript", message="given up: not ready")
    assert event.source == f"/{vendor}/default"


@pytest.mark.parametrize("kind", ["participants", "timeline", "whatever comes next"])
def test_of_what_nobody_announces_it_is_a_body_of_our_own(kind: str) -> None:
    """The contract has no failed participants."""
    (event,) = decode_record(given_up(kind)).events
    assert event.type == "vendor.event" and isinstance(event.data, VendorBody)
    assert event.data.body == {"receiver": GAVE_UP, "kind": kind, "message": "given up: not ready"}


def test_given_up_again_with_the_same_words_is_a_repeat() -> None:
    """As after a restart."""
    assert decode_record(given_up("summary")).key == decode_record(given_up("summary")).key != b""


@given(st.binary() | st.recursive(st.none() | st.text() | st.integers(), st.lists).map(msgspec.json.encode))
def test_a_damaged_trace_is_malformed(body: bytes) -> None:
    """Nothing but our error escapes."""
    one = msgspec.structs.replace(given_up("summary"), payload=body)
    try:
        assert decode_record(one).events
    except Malformed as error:
        assert "gave-up record" in str(error)


def test_every_other_answer_is_its_vendors() -> None:
    """Whatever it is called."""
    one, seen = answer(), []

    def vendors_own(record: Record) -> Decoded:
        seen.append(record)
        return reply(record, [])

    assert decode(one, vendors_own).key == reply_key(one) and seen == [one]


def test_a_record_without_a_call_is_malformed() -> None:
    """It is no answer."""
    with pytest.raises(Malformed, match="names no call"):
        decode_record(msgspec.structs.replace(answer(), headers=()))
