"""``receiver schema``: the documents are valid, stable, and say what events really look like."""

import argparse
import copy
import json
import re
from collections.abc import Iterator
from typing import Any

import jsonschema
import pytest

from receiver.commands import schema as command
from receiver.events import DATA_TYPES, MEDIA_TYPES, AudioChunk, Data, Event, VendorBody
from receiver.live.frames import Gap, frames_for
from receiver.schema import LIVE_MESSAGES, asyncapi, json_schema
from tests.test_events import BARE, FULL, make_event

CHECKER = jsonschema.FormatChecker()
RFC3339 = re.compile(r"\d{4}-\d\d-\d\d[Tt]\d\d:\d\d:\d\d(\.\d+)?([Zz]|[+-]\d\d:\d\d)")
CHECKER.checks("date-time")(lambda value: not isinstance(value, str) or RFC3339.fullmatch(value) is not None)
SCHEMA = json_schema()
EVENTS = jsonschema.Draft202012Validator(SCHEMA, format_checker=CHECKER)
EVERYTHING = {"subject": "bot-7", "vendorevent": "bot.kicked", "raw": b"{}"}


def errors(event: dict[str, Any], type_: str) -> list[str]:
    """What the schema has against this event; the schema of its type is asked, for a readable answer."""
    one = jsonschema.Draft202012Validator(
        {"$ref": f"#/$defs/{type_}", "$defs": SCHEMA["$defs"]}, format_checker=CHECKER
    )
    assert one.is_valid(event) == EVENTS.is_valid(event)
    return [f"{error.json_path}: {error.message}" for error in one.iter_errors(event)]


def told(event: Event, **wishes: bool) -> dict[str, Any]:
    """The event as a consumer reads it."""
    value: dict[str, Any] = json.loads(event.json(**wishes))
    return value


def printed(capsys: pytest.CaptureFixture[str], *arguments: str) -> str:
    """What ``receiver schema`` prints."""
    parser = argparse.ArgumentParser()
    command.register(parser.add_subparsers())
    args = parser.parse_args(["schema", *arguments])
    assert args.run(args) == 0
    return capsys.readouterr().out


def references(document: Any) -> Iterator[str]:
    """Every ``$ref`` of a document."""
    if isinstance(document, dict):
        if isinstance(document.get("$ref"), str):
            yield document["$ref"]
        for value in document.values():
            yield from references(value)
    elif isinstance(document, list):
        for value in document:
            yield from references(value)


def resolve(document: Any, reference: str) -> Any:
    """What a local reference points to; raises ``KeyError`` where there is nothing."""
    assert reference.startswith("#/")
    for part in reference[2:].split("/"):
        document = document[part]
    return document


def test_json_schema_is_valid() -> None:
    """By the metaschema of the dialect that it names, and without a reference into nothing."""
    assert SCHEMA["$schema"] == "https://json-schema.org/draft/2020-12/schema"
    jsonschema.Draft202012Validator.check_schema(SCHEMA)
    assert all(resolve(SCHEMA, reference) for reference in references(SCHEMA))


@pytest.mark.parametrize("type_", DATA_TYPES)
@pytest.mark.parametrize("examples", [FULL, BARE], ids=["full", "bare"])
@pytest.mark.parametrize("wishes", [{}, {"secrets": True, "raw": True}], ids=["plain", "all"])
def test_events_fit(type_: str, examples: dict[type[Data], Data], wishes: dict[str, bool]) -> None:
    """Every type, with all keys and with the required ones alone, with and without what a sink may wish."""
    data = examples[DATA_TYPES[type_]]
    assert errors(told(make_event(type_, data), **wishes), type_) == []
    assert errors(told(make_event(type_, data, **EVERYTHING), **wishes), type_) == []


@pytest.mark.parametrize("type_", DATA_TYPES)
def test_every_key_is_described(type_: str) -> None:
    """What events carry is in the schema under its own name: no key is let in only because unknown ones are."""
    event = told(make_event(type_, FULL[DATA_TYPES[type_]], **EVERYTHING), raw=True, secrets=True)
    envelope, own = SCHEMA["$defs"]["Envelope"], SCHEMA["$defs"][type_]
    assert set(event) <= set(envelope["properties"]) | set(own["properties"])
    if type_ not in MEDIA_TYPES and type_ != "vendor.event":
        assert set(event["data"]) == set(resolve(SCHEMA, own["properties"]["data"]["$ref"])["properties"])


@pytest.mark.parametrize("type_", DATA_TYPES)
def test_required_keys_are_required(type_: str) -> None:
    """Without any one of the attributes that an event always has, or of its required data, it does not fit."""
    event = told(make_event(type_, BARE[DATA_TYPES[type_]]))
    for name in event:
        torn = {key: value for key, value in event.items() if key != name}
        assert not EVENTS.is_valid(torn), name
    for name in event["data"] if isinstance(event.get("data"), dict) else ():
        torn = copy.deepcopy(event)
        del torn["data"][name]
        assert errors(torn, type_), name


@pytest.mark.parametrize("type_", DATA_TYPES)
def test_null_is_no_value(type_: str) -> None:
    """Optional keys are absent, never null: the schema says so for each."""
    event = told(make_event(type_, FULL[DATA_TYPES[type_]], **EVERYTHING), raw=True, secrets=True)
    for name in event.keys() - {"data"}:
        assert errors(event | {name: None}, type_), name
    if not isinstance(FULL[DATA_TYPES[type_]], VendorBody):
        for name in event.get("data", ()):
            assert errors(event | {"data": event["data"] | {name: None}}, type_), name


@pytest.mark.parametrize("type_", DATA_TYPES)
def test_unknown_keys_are_let_in(type_: str) -> None:
    """Events may gain keys."""
    event = told(make_event(type_, FULL[DATA_TYPES[type_]]))
    assert errors(event | {"newcomer": 1}, type_) == []
    if "data" in event:
        assert errors(event | {"data": event["data"] | {"newcomer": {"a": None}}}, type_) == []


@pytest.mark.parametrize(
    "change",
    [
        {"specversion": "0.3"}, {"time": "yesterday"}, {"time": 1790000000}, {"receivedtime": "2026-11-21"}, {"id": ""},
        {"sequence": "42"}, {"sequence": 42}, {"type": "bot.unheard_of"}, {"datacontenttype": "text/plain"},
        {"data": {"status": "sleeping"}}, {"data": {"status": "done", "code": "410"}}, {"data": []},
        {"data_base64": "AAAA"}, {"raw": {"a": 1}},
    ],
)  # fmt: skip
def test_wrong_events_do_not_fit(change: dict[str, Any]) -> None:
    """Wrong words, types and formats are told."""
    event = told(make_event("bot.status", BARE[DATA_TYPES["bot.status"]]))
    assert EVENTS.is_valid(event)
    assert not EVENTS.is_valid(event | change)


@pytest.mark.parametrize("body", [None, 1, "a", [1], {}, {"a": None}])
def test_vendor_events_carry_any_json(body: Any) -> None:
    """``vendor.event`` passes what the contract has no type for."""
    assert errors(told(make_event("vendor.event", VendorBody(body=body))), "vendor.event") == []


def test_media_have_no_data() -> None:
    """CloudEvents: ``data`` or ``data_base64``, never both."""
    event = told(make_event("audio.chunk", FULL[AudioChunk]))
    assert errors(event, "audio.chunk") == []
    assert errors(event | {"data": {}}, "audio.chunk")
    assert SCHEMA["$defs"]["audio.chunk"]["required"] == ["data_base64", "codec", "ratehz", "channels"]


def test_descriptions_come_from_the_docstrings() -> None:
    """In Markdown, on one line, for each type."""
    for type_ in DATA_TYPES:
        text = SCHEMA["$defs"][type_]["description"]
        assert text, type_
        assert "``" not in text
        assert "\n" not in text
    assert "where the bot is" in SCHEMA["$defs"]["bot.status"]["description"]


def test_asyncapi_references_lead_somewhere() -> None:
    """Every reference, and each channel carries every type."""
    document = asyncapi()
    assert document["asyncapi"] == "3.0.0"
    assert all(resolve(document, reference) for reference in references(document))
    assert set(document["channels"]) == {"events", "live", "kafka", "webhook"}
    for name, channel in document["channels"].items():
        more = ["receiver.gap", "receiver.position"] if name == "live" else []
        assert list(channel["messages"]) == [*DATA_TYPES, *more]


def test_asyncapi_knows_what_live_readers_are_told() -> None:
    """The messages beside events are those that are sent."""
    schemas = asyncapi()["components"]["schemas"]
    position = json.loads(frames_for("websocket", "json").position(17))
    for name, sent in (("receiver.gap", json.loads(Gap(3, 5, 9, "damaged").json())), ("receiver.position", position)):
        one = jsonschema.Draft202012Validator(schemas[name])
        assert sent["type"] == name and not list(one.iter_errors(sent))
        assert all(not one.is_valid({key: sent[key] for key in sent if key != left_out}) for left_out in sent)


def test_asyncapi_schemas_are_the_same() -> None:
    """They are valid by themselves, also for draft 07, on which AsyncAPI stands, and judge events alike."""
    document = asyncapi()
    components = document["components"]
    text = json.dumps(components["schemas"]).replace("#/components/schemas/", "#/$defs/")
    own = {name: schema for name, schema in json.loads(text).items() if name not in LIVE_MESSAGES}
    assert own == SCHEMA["$defs"]
    for type_ in DATA_TYPES:
        whole = {"$ref": components["messages"][type_]["payload"]["$ref"], "components": components}
        jsonschema.Draft7Validator.check_schema(whole)
        jsonschema.Draft202012Validator.check_schema(whole)
        event = told(make_event(type_, FULL[DATA_TYPES[type_]], **EVERYTHING))
        assert jsonschema.Draft7Validator(whole).is_valid(event)
        assert not jsonschema.Draft7Validator(whole).is_valid(event | {"type": "other"})


def test_asyncapi_tells_how_events_leave() -> None:
    """Kafka: the key is the subject; http sink: POST with the headers of Standard Webhooks."""
    document = asyncapi()
    for name in DATA_TYPES:
        message = document["components"]["messages"][name]
        bindings = resolve(document, message["bindings"]["$ref"])
        assert "subject" in bindings["kafka"]["key"]["description"]
        headers = bindings["http"]["headers"]["properties"]
        assert list(headers) == ["webhook-id", "webhook-timestamp", "webhook-signature"]
    assert document["operations"]["send_webhook"]["bindings"]["http"]["method"] == "POST"
    assert "{topic}" in document["channels"]["kafka"]["address"]


@pytest.mark.parametrize(
    ("arguments", "document"),
    [((), json_schema), (("--format", "jsonschema"), json_schema), (("--format", "asyncapi"), asyncapi)],
)
def test_command_prints_the_document(capsys: pytest.CaptureFixture[str], arguments: Any, document: Any) -> None:
    """JSON on standard output, the JSON Schema unless told otherwise, the same bytes every time."""
    text = printed(capsys, *arguments)
    assert json.loads(text) == document()
    assert text == printed(capsys, *arguments)
    assert text.endswith("}\n")


def test_command_refuses_other_formats(capsys: pytest.CaptureFixture[str]) -> None:
    """Usage: status 2, and the choices are named."""
    with pytest.raises(SystemExit, match="2"):
        printed(capsys, "--format", "xml")
    assert "asyncapi" in capsys.readouterr().err
