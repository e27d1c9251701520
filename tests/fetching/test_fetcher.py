"""One account at work on a real journal: what comes, what is put off, what is given up, what a restart keeps."""

import asyncio
from pathlib import Path
from typing import Any

import msgspec
import pytest
from structlog.testing import capture_logs

from receiver.delivery.retry import Backoff
from receiver.errors import VendorError, VendorNotFound, VendorPending, VendorUnreachable
from receiver.events import Artifact
from receiver.fetching.fetcher import Fetcher
from receiver.fetching.jobs import Times
from receiver.vendors.replies import done_of, seen_of
from tests.fetching.fakes import (
    AT_ONCE,
    KEY,
    QUICK,
    FakeApi,
    House,
    account,
    answer,
    house_in,
    journal_trouble,
    working,
)
from tests.support import until

AT = "2026-06-10T09:00:00.000Z"


def bot(event: str, bot_id: str = "bot-1", **keys: Any) -> dict[str, Any]:
    """A callback of MeetStream's."""
    name = event.removeprefix("bot.")
    return {"event": event, "bot_event": event, "bot_id": bot_id, "bot_status": name, "timestamp": AT, **keys}


READY = {"event": "transcription.processed", "bot_id": "bot-1", "transcription_status": "Success", "timestamp": AT}


async def rest(house: House, fetcher: Fetcher) -> None:
    """Wait until nothing is to be done any more, and the cursor has gone as far as it can."""
    await house.journal.settle()
    await until(lambda: house.state.cursors[fetcher.name] >= house.journal.head and not fetcher.plan.pending)


async def test_what_is_announced_is_journalled_as_a_delivery_of_its_own(tmp_path: Path) -> None:
    """Through the intake, so the books balance; the last answer says what it fulfils."""
    api = FakeApi(account(fetch=("transcript",)))
    api.answers["transcript"] = [[answer("list", "[1]"), answer("transcript", '{"text":"so"}')]]
    async with house_in(tmp_path) as house, working(house.fetcher(api)) as fetcher:
        await house.deliver(READY)
        await until(lambda: fetcher.book.done == 1)
        await rest(house, fetcher)
        found = await house.answers()
    assert [(one.subject, events[0].type) for one, events in found] == [("bot-1", "artifact.fetched")] * 2
    assert [bool(done_of(one)) for one, _ in found] == [False, True]
    assert api.calls == [("transcript", "bot-1")]
    assert house.ledger.balanced and house.ledger.journalled == 3


async def test_what_is_not_there_yet_is_asked_for_until_it_is(tmp_path: Path) -> None:
    """Pending, not found, not reached, and a fault of ours: all of them pass."""
    api = FakeApi(account(fetch=("transcript",)))
    passing: list[Any] = [
        VendorPending("wait"),
        VendorNotFound("404"),
        VendorUnreachable("no answer"),
        KeyError("ours"),
    ]
    api.answers["transcript"] = [*passing, [answer("transcript")]]
    async with house_in(tmp_path) as house, working(house.fetcher(api)) as fetcher:
        await house.deliver(READY)
        await rest(house, fetcher)
        found = await house.answers()
    assert len(api.calls) == 5 and fetcher.book.retries == 4 and len(found) == 1


async def test_a_retry_after_outweighs_the_back_off(tmp_path: Path) -> None:
    """It is not undercut; one beyond the time for giving up ends it at once."""
    api = FakeApi(account(fetch=("transcript",)))
    api.answers["transcript"] = [VendorPending("wait", retry_after_s=0.3), [answer("transcript")]]
    loop = asyncio.get_running_loop()
    async with house_in(tmp_path) as house, working(house.fetcher(api)) as fetcher:
        begun_s = loop.time()
        await house.deliver(READY)
        await rest(house, fetcher)
        assert loop.time() - begun_s >= 0.3 and fetcher.book.done == 1
        api.answers["transcript"] = [VendorPending("wait", retry_after_s=1e6)]
        await house.deliver({**READY, "bot_id": "bot-2"})
        await rest(house, fetcher)
        assert fetcher.book.given_up == 1 and len(api.calls) == 3


@pytest.mark.parametrize(
    ("error", "give_up_s"),
    [(VendorPending("not ready", words="still processing"), 0.05), (VendorError("no", words="the plan has none"), 1e6)],
)
async def test_what_never_comes_is_given_up_and_said_so(tmp_path: Path, error: VendorError, give_up_s: float) -> None:
    """As an event that the vendor failed to deliver it, with its words; what is no announced kind as the vendor's."""
    api = FakeApi(account(fetch=("transcript", "participants"), give_up_s=give_up_s))
    api.answers |= {"transcript": [error], "participants": [error]}
    async with house_in(tmp_path) as house, working(house.fetcher(api)) as fetcher:
        with capture_logs() as lines:
            await house.deliver(bot("bot.stopped"))
            await until(lambda: fetcher.book.given_up == 2)
            await rest(house, fetcher)
        found = {events[0].type: events[0] for _, events in await house.answers()}
        await until(lambda: house.tracker.cursor == house.journal.head)
        view = house.tracker.book.meeting("bot-1")
    assert set(found) == {"artifact.failed", "vendor.event"}
    failed = found["artifact.failed"].data
    assert isinstance(failed, Artifact) and failed.kind == "transcript"
    assert failed.message == f"given up: {error}"
    assert msgspec.to_builtins(found["vendor.event"].data)["body"]["kind"] == "participants"
    assert view is not None and [(one.kind, one.state) for one in view.artifacts] == [("transcript", "failed")]
    assert {line["kind"] for line in lines if line["event"] == "fetch.gave_up"} == {"transcript", "participants"}


async def test_what_the_vendor_has_none_of_is_not_asked_for_again(tmp_path: Path) -> None:
    """An empty list is an answer."""
    api = FakeApi(account(fetch=("summary",)))
    async with house_in(tmp_path) as house, working(house.fetcher(api)) as fetcher:
        await house.deliver(bot("bot.stopped"))
        await until(lambda: fetcher.book.done == 1)
        await rest(house, fetcher)
        assert api.calls == [("summary", "bot-1")] and await house.answers() == []


async def test_other_endpoints_are_nobodys_business(tmp_path: Path) -> None:
    """An account belongs to the endpoint of its name."""
    api = FakeApi(account(name="other", fetch=("transcript",)))
    async with house_in(tmp_path) as house, working(house.fetcher(api)) as fetcher:
        await house.deliver(READY, bot("bot.stopped"))
        await rest(house, fetcher)
        assert api.calls == []


async def test_what_was_there_before_the_account_is_not_asked_for(tmp_path: Path) -> None:
    """A journal of a week would be asked for at once; `receiver fetch` gets what is wanted of it."""
    api = FakeApi(account(fetch=("transcript",)))
    async with house_in(tmp_path) as house:
        await house.deliver(READY)
        async with working(house.fetcher(api)) as fetcher:
            await house.deliver({**READY, "bot_id": "bot-2"})
            await until(lambda: fetcher.book.done == 1)
            await rest(house, fetcher)
    assert api.calls == [("transcript", "bot-2")]


async def test_calls_are_few_at_a_time(tmp_path: Path) -> None:
    """However much is announced at once; the rest waits its turn and none is lost."""
    api = FakeApi(account(fetch=("transcript",)))
    api.answers["transcript"] = [lambda subject: [answer("transcript", subject=subject)]]
    api.open.clear()
    async with house_in(tmp_path) as house, working(house.fetcher(api)) as fetcher:
        await house.deliver(*({**READY, "bot_id": f"bot-{number}"} for number in range(30)))
        await until(lambda: len(api.calls) == QUICK.at_once and fetcher.plan.pending == 30)
        api.open.set()
        await until(lambda: fetcher.book.done == 30)
        assert api.most_at_once == QUICK.at_once and fetcher.book.running == 0
        await rest(house, fetcher)
        assert len(await house.answers()) == 30


async def test_calls_of_an_account_keep_a_distance(tmp_path: Path) -> None:
    """One rate for all its jobs."""
    api = FakeApi(account(fetch=("transcript",)))
    pacing = msgspec.structs.replace(QUICK, calls_per_s=50.0)
    loop = asyncio.get_running_loop()
    async with house_in(tmp_path) as house, working(house.fetcher(api, pacing=pacing)) as fetcher:
        begun_s = loop.time()
        await house.deliver(*({**READY, "bot_id": f"bot-{number}"} for number in range(6)))
        await until(lambda: fetcher.book.done == 6)
        assert loop.time() - begun_s >= 5 / 50


async def test_a_journal_that_takes_nothing_is_waited_for(tmp_path: Path) -> None:
    """What a vendor has given is not asked for twice."""
    api = FakeApi(account(fetch=("transcript",)))
    api.answers["transcript"] = [[answer("transcript")]]
    async with house_in(tmp_path) as house, working(house.fetcher(api)) as fetcher:
        await house.deliver(READY)
        house.trouble = [journal_trouble() for _ in range(3)]
        await until(lambda: fetcher.book.done == 1)
        await rest(house, fetcher)
        assert len(api.calls) == 1 and len(await house.answers()) == 1 and house.ledger.balanced


# A restart


async def test_what_was_under_way_is_asked_for_after_a_restart(tmp_path: Path) -> None:
    """The cursor stands before the event that wants it, whatever came and was done behind it."""
    first, second = (FakeApi(account(fetch=("transcript", "summary"))) for _ in range(2))
    first.answers = {"transcript": [VendorPending("wait")], "summary": [[answer("summary")]]}
    second.answers = {"transcript": [[answer("transcript")]], "summary": [[answer("summary", '{"text":"again"}')]]}
    async with house_in(tmp_path) as house, working(house.fetcher(first)) as fetcher:
        await house.deliver(bot("bot.stopped"))
        end = house.journal.head
        await house.deliver(bot("bot.joining", "bot-2"))
        await until(lambda: fetcher.book.done == 1 and len(first.calls) > 3)
        await house.journal.settle()
        await until(lambda: house.state.cursors[fetcher.name] == end - 1)
    async with house_in(tmp_path) as house, working(house.fetcher(second)) as fetcher:
        await until(lambda: fetcher.book.done == 1)
        await rest(house, fetcher)
        calls = [done_of(one) for one, _ in await house.answers()]
    assert second.calls == [("transcript", "bot-1")]  # the summary is in the journal
    assert calls == ["summary;;;bot-1", "transcript;;;bot-1"]


async def test_an_answer_that_is_there_already_is_a_repeat(tmp_path: Path) -> None:
    """Merged by its key: the same answer to the same call about the same subject."""
    api = FakeApi(account(fetch=("transcript",)))
    api.answers["transcript"] = [[answer("transcript")]]
    async with house_in(tmp_path) as house, working(house.fetcher(api)) as fetcher:
        await house.deliver(READY)
        await until(lambda: fetcher.book.done == 1)
        await house.deliver({**READY, "timestamp": "2026-06-10T10:00:00.000Z"})
        await until(lambda: fetcher.book.done == 2)
        await rest(house, fetcher)
        assert len(await house.answers()) == 1 and house.ledger.duplicates == 1 and house.ledger.balanced


async def test_after_a_long_standstill_each_thing_is_tried_once_at_least(tmp_path: Path) -> None:
    """Its time for giving up may be over before the start."""
    times = Times(after_end_s=0.0)
    first, second = (FakeApi(account(fetch=("transcript",), give_up_s=0.0)) for _ in range(2))
    first.open.clear()
    second.answers["transcript"] = [[answer("transcript")]]
    async with house_in(tmp_path) as house, working(house.fetcher(first, times)):
        await house.deliver(READY)
        await until(lambda: first.calls)
    async with house_in(tmp_path) as house, working(house.fetcher(second, times)) as fetcher:
        await until(lambda: fetcher.book.done == 1)
        assert len(await house.answers()) == 1


# The vendor's own record


async def test_the_own_record_comes_with_what_was_seen(tmp_path: Path) -> None:
    """From the book of meetings, once everything up to the end is in it."""
    api = FakeApi(account(reconcile=True))
    api.answers |= {"own record": [[answer("detail", '{"Status":"Done"}')]], "delivery log": [[]]}
    who = {"action": "join", "participant": {"name": "Ada"}, "timestamp": {"absolute": AT}}
    joined = {"event": "participant_events.join", "data": {"data": who, "bot": {"id": "bot-1"}}}
    async with house_in(tmp_path) as house, working(house.fetcher(api)) as fetcher:
        await house.deliver(bot("bot.joining"), joined, bot("bot.stopped"))
        await until(lambda: sum(kind == "own record" for kind, _ in api.calls) == 2)
        await rest(house, fetcher)
        found = [one for one, _ in await house.answers()]
    assert len(found) == 1 and found[0].subject == "bot-1"  # the second look brought the same
    seen = seen_of(found[0])
    assert seen is not None and {"joining", "bot.joining", "stopped", "bot.stopped"} <= seen.statuses
    assert seen.joined == {"Ada"} and seen.left == frozenset()


async def test_without_a_book_there_is_nothing_to_compare_with(tmp_path: Path) -> None:
    """Then nothing is asked for: everything would look missed."""
    api = FakeApi(account(reconcile=True, give_up_s=0.05))
    house = House(tmp_path)
    async with working(house.fetcher(api)) as fetcher:
        await house.deliver(bot("bot.stopped"))
        await until(lambda: fetcher.book.given_up == 1)
    assert ("own record", "bot-1") not in api.calls and await house.answers() == []
    await house.state.close()
    await house.journal.close()


async def test_of_a_delivery_log_only_what_is_new_is_handed_over(tmp_path: Path) -> None:
    """It is read again and again, and holds mostly what was there before."""
    api = FakeApi(account(reconcile=True))
    one, two = answer("entry", '{"id":1}', ""), answer("entry", '{"id":2}', "")
    api.answers["delivery log"] = [[one], VendorUnreachable("no answer"), [two, one], [one, two]]
    async with house_in(tmp_path) as house, working(house.fetcher(api)):
        await until(lambda: len(api.calls) > 6)
        await house.journal.settle()
        found = [record.payload for record, _ in await house.answers()]
    assert found == [one.body, two.body] and house.ledger.received == 2


async def test_hints_tell_what_a_call_needs_beside_the_id(tmp_path: Path) -> None:
    """When it began and ended, from events of this run or from the book."""
    api = FakeApi(account(fetch=("transcript", "summary")))
    async with house_in(tmp_path) as house:
        await house.deliver(bot("bot.recording"))  # before the account was: only the book knows of it
        async with working(house.fetcher(api)) as fetcher:
            await until(lambda: house.tracker.cursor == house.journal.head)
            await house.deliver(bot("bot.stopped", timestamp="2026-06-10T09:30:00Z"))
            await until(lambda: fetcher.book.done == 2)
    assert {(one.since_s, one.until_s) for one in api.hints} == {(1781082000.0, 1781083800.0)}


# Robustness


async def test_no_secret_reaches_a_log_or_the_journal(tmp_path: Path) -> None:
    """Not even where a vendor's words or a fault of ours hold one."""
    api = FakeApi(account(fetch=("transcript",), give_up_s=0.05))
    link = "https://x.example.org/a?token=abcdefghijklmnop"
    api.answers["transcript"] = [ValueError(f"Authorization: Bearer {KEY}"), VendorPending("no", words=link)]
    async with house_in(tmp_path) as house, working(house.fetcher(api)) as fetcher:
        with capture_logs() as lines:
            await house.deliver(READY)
            await until(lambda: fetcher.book.given_up == 1)
        payloads = [one.payload.decode() for one, _ in await house.answers()]
    text = repr([{key: value for key, value in line.items() if key != "exc_info"} for line in lines]) + repr(payloads)
    assert lines and payloads and KEY not in text and "abcdefghijklmnop" not in text
    assert KEY not in repr(api) + repr(api.account) + repr(fetcher)


async def test_a_journal_that_cannot_be_read_makes_it_late_only(tmp_path: Path) -> None:
    """It asks again, from where it was."""
    api = FakeApi(account(fetch=("transcript",)))
    async with house_in(tmp_path) as house:
        fetcher = house.fetcher(api)
        read, failing = house.journal.read, [OSError("disk"), OSError("disk")]

        async def flaky(*arguments: Any, **keys: Any) -> Any:
            if failing and keys.get("reader"):
                raise failing.pop()
            return await read(*arguments, **keys)

        house.journal.read = flaky  # type: ignore[method-assign]
        async with working(fetcher):
            await house.deliver(READY)
            await until(lambda: fetcher.book.done == 1)
    assert not failing


async def test_a_fault_of_the_plan_stops_nothing_else(tmp_path: Path) -> None:
    """One event that cannot be taken is passed over."""
    api = FakeApi(account(fetch=("transcript",)))
    async with house_in(tmp_path) as house:
        fetcher = house.fetcher(api)
        take = fetcher.plan.take

        def picky(record: Any, *arguments: Any, **keys: Any) -> None:
            if record.subject == "" and b"bad" in record.payload:
                raise ZeroDivisionError("what was said")
            take(record, *arguments, **keys)

        fetcher.plan.take = picky  # type: ignore[method-assign]
        with capture_logs() as lines:
            async with working(fetcher):
                await house.deliver({**READY, "bot_id": "bad"}, {**READY, "bot_id": "good"})
                await until(lambda: fetcher.book.done == 1)
    assert api.calls == [("transcript", "good")]
    assert [line["error"] for line in lines if line["event"] == "fetch.plan.failed"] == ["ZeroDivisionError"]


def test_the_waits_of_a_server_are_those_that_are_promised() -> None:
    """Twenty seconds after the end, a quarter of an hour between looks; calls in the pace of people."""
    times = Times()
    assert (times.after_end_s, times.quiet_s, times.again_s, times.log_s) == (20.0, 900.0, 900.0, 900.0)
    assert AT_ONCE.after_end_s == 0.0 and QUICK.backoff != Backoff()
