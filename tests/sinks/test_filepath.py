"""Path templates and the components that strangers' values become."""

import re
from pathlib import Path

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from receiver.errors import ConfigError
from receiver.events import DATA_TYPES
from sinks.filepath import LIMITS, PathTemplate, component
from tests.sinks.factories import make_event

ROOT = Path("/data")
VALUES = st.one_of(st.text(), st.text(alphabet="./%~\\\0 aA-"), st.text(alphabet="ab", min_size=118, max_size=123))


@given(VALUES)
@example("..")
@example(".")
@example("../../etc/passwd")
@example("/etc/passwd")
@example("a\0b")
@example("\ud800")
@example(".hidden")
def test_any_value_becomes_one_safe_component(value: str) -> None:
    """No separator, NUL or leading dot, never empty, at most 120 bytes, whatever a vendor sends."""
    made = component(value)
    assert re.fullmatch(r"[A-Za-z0-9_@=+%-][A-Za-z0-9._@=+%~-]{0,119}", made)


@given(VALUES, VALUES)
@example("none", "")
@example(".a", "%2Ea")
@example("x" * 120, "x" * 121)
@example("x" * 200 + "a", "x" * 200 + "b")
def test_distinct_values_become_distinct_components(one: str, other: str) -> None:
    """Two meetings never share a file because of how their ids are spelt or how long they are."""
    assert (component(one) == component(other)) == (one == other)


@pytest.mark.parametrize("value", ["bot-7", "2026-11-21", "user@example.org", "a_b=c+d", "x" * 120])
def test_harmless_values_stay_readable(value: str) -> None:
    """What needs no change is not changed."""
    assert component(value) == value


def test_a_missing_subject_is_none() -> None:
    """A path is made for events that are about nothing in particular, too."""
    template = PathTemplate("events/{subject}.jsonl", ROOT)
    assert template.path(make_event(subject="")) == ROOT / "events/none.jsonl"


def test_all_placeholders() -> None:
    """{vendor} is the first part of the source, {date} the UTC day of arrival."""
    template = PathTemplate("{vendor}/{date}/{type}/{subject}.jsonl", ROOT)
    assert template.path(make_event()) == ROOT / "meetstream/2026-11-21/transcript.final/bot-7.jsonl"
    assert template.root == ROOT


@given(subject=st.text(), source=st.text(), type_=st.text())
def test_no_path_leaves_the_root(subject: str, source: str, type_: str) -> None:
    """Subject, vendor and type together stay below the literal part of the template, at its depth."""
    template = PathTemplate("events/{vendor}/{subject}-{type}.jsonl", ROOT)
    path = template.path(make_event(subject=subject, source=source, type=type_))
    assert path.parent.parent == ROOT / "events"
    assert len(path.name.encode()) < 215
    assert template.date_of(path.relative_to(template.root).as_posix()) == ""


@given(value=VALUES)
@example("a~" + "0" * 20)
@example("a" * 200)
@example("a.jsonl~00000000000000000001")
def test_nobody_can_name_an_open_file_like_a_closed_one(value: str) -> None:
    """A stranger's value never looks like ``stem~number.jsonl``: it could say what was delivered already."""
    template = PathTemplate("{subject}.jsonl", ROOT)
    assert not template.is_closed(template.path(make_event(subject=value)).name)


def test_the_root_is_the_literal_beginning() -> None:
    """An absolute template is the operator's own choice; a relative one is below the data directory."""
    assert PathTemplate("/var/log/meetings/{date}/all.jsonl", ROOT).root == Path("/var/log/meetings")
    assert PathTemplate("events/all.jsonl", ROOT).root == ROOT / "events"


def test_the_date_of_a_file_is_read_back_from_its_path() -> None:
    """Open files of past days are recognised; closed files and others are not dated."""
    template = PathTemplate("{subject}/{date}-{type}.jsonl", ROOT)
    assert template.date_of("x-2020-01-01/2026-11-21-bot.status.jsonl") == "2026-11-21"
    assert template.date_of("x/2026-11-21-bot.status~00000000000000000007.jsonl") == ""
    assert template.date_of("x/notes.txt") == ""


def test_contract_types_are_never_shortened() -> None:
    """The limit of {type} leaves every type of the contract as it is."""
    assert all(component(name, LIMITS["type"]) == name for name in DATA_TYPES)


@pytest.mark.parametrize(
    ("template", "complaint"),
    [
        ("events/{bot}.jsonl", "path: found {bot}, allowed {subject}, {type}, {date}, {vendor}"),
        ("events/{}.jsonl", "path: found {}, allowed"),
        ("events/{date.jsonl", "path: found 'events/{date.jsonl', allowed a relative or absolute path"),
        ("events/a\0b.jsonl", "allowed a relative or absolute path"),
        ("../{date}.jsonl", "without empty, '.' and '..' parts"),
        ("a/./{date}.jsonl", "without empty, '.' and '..' parts"),
        ("a//{date}.jsonl", "without empty, '.' and '..' parts"),
        ("", "without empty, '.' and '..' parts"),
        ("events/", "without empty, '.' and '..' parts"),
        ("events/{subject}", "ends like .jsonl"),
        ("events/a.{type}", "ends like .jsonl"),
        ("events/.jsonl", "ends like .jsonl"),
        ("events/{date}.gz", "ends like .jsonl"),
        ("events/{date}.TMP", "ends like .jsonl"),
        ("events/a~{date}.jsonl", "ends like .jsonl"),
        ("{subject}{subject}.jsonl", "which may become 246 bytes"),
    ],
)
def test_a_template_that_cannot_work_is_refused(template: str, complaint: str) -> None:
    """At the start, with the key, what was found and what is allowed."""
    with pytest.raises(ConfigError) as caught:
        PathTemplate(template, ROOT)
    assert complaint in str(caught.value)
    assert str(caught.value).startswith("path: found ")
