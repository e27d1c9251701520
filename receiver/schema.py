"""The documents of the event contract, made from its types: JSON Schema (draft 2020-12) and AsyncAPI 3.0.

Knows how types become schemas, and nothing of how events are made or sent. The types, their docstrings and the names of
media attributes come from ``receiver.events``; only what the envelope's attributes mean is written here.
"""

from typing import Any

import msgspec

from receiver import __version__
from receiver.events import DATA_TYPES, JSON_TYPE, MEDIA_TYPES, Data, VendorBody, media_attributes

Schema = dict[str, Any]
DIALECT = "https://json-schema.org/draft/2020-12/schema"
STRUCTURED_TYPE = "application/cloudevents+json"
ENVELOPE = "Envelope"

_TITLE = "Meeting Receiver events"
_NEWCOMERS = "Events and data may gain keys: a consumer ignores those that it does not know."
_TEXT: Schema = {"type": "string", "minLength": 1}
_TIME: Schema = {"type": "string", "format": "date-time"}
_BASE64: Schema = {"type": "string", "contentEncoding": "base64"}
#: attribute -> schema, in the order of the documents
_ENVELOPE: dict[str, Schema] = {
    "specversion": {"const": "1.0", "description": "Version of CloudEvents."},
    "id": _TEXT | {"description": "Stable: a repeated delivery gives the same id. Unique together with `source`."},
    "source": _TEXT | {"format": "uri-reference", "description": "`/<vendor>/<endpoint name>`."},
    "type": _TEXT | {"description": "What happened; decides the data."},
    "subject": _TEXT | {"description": "The bare id of the bot or meeting. Absent where nothing tells it."},
    "time": _TIME | {"description": "When it happened, by the vendor's clock; `receivedtime` where it gives none."},
    "receivedtime": _TIME | {"description": "When its bytes arrived, with microseconds."},
    "sequence": {"type": "string", "pattern": "^[0-9]{20}$", "description": "Place in the journal: sorts by arrival."},
    "datacontenttype": _TEXT | {"description": f"`{JSON_TYPE}`; of audio and video their media type."},
    "vendorevent": _TEXT | {"description": "The vendor's own most specific name. Absent where it names none."},
    "raw": {"type": "string", "description": "The vendor's body or message, where the sink asks for it."},
    "rawbase64": _BASE64 | {"description": "Stands for `raw` where the vendor's bytes are no UTF-8."},
}
_OPTIONAL = ("subject", "vendorevent", "raw", "rawbase64")


def json_schema() -> Schema:
    """The JSON Schema of one event as sinks send it (CloudEvents structured mode)."""
    return {
        "$schema": DIALECT,
        "title": _TITLE,
        "description": f"Meeting Receiver {__version__}. One event: CloudEvents 1.0 in JSON. {_NEWCOMERS}",
        "oneOf": [{"$ref": f"#/$defs/{name}"} for name in DATA_TYPES],
        "$defs": definitions("#/$defs/"),
    }


def asyncapi() -> Schema:
    """The AsyncAPI 3.0 document: the ways on which events leave, and a message for each event type."""
    messages = {name: {"$ref": f"#/components/messages/{name}"} for name in DATA_TYPES}
    channels = {
        name: {"address": address, "description": text, "messages": messages}
        for name, (address, text) in _CHANNELS.items()
    }
    channels["live"]["messages"] = messages | {
        name: {"$ref": f"#/components/messages/{name}"} for name in LIVE_MESSAGES
    }
    channels["kafka"]["parameters"] = {"topic": {"description": "The sink's `topic`, its placeholders filled in."}}
    operations = {
        f"send_{name}": {"action": "send", "channel": {"$ref": f"#/channels/{name}"}, "summary": f"Events to `{name}`."}
        for name in channels
    }
    operations["send_webhook"]["bindings"] = {"http": {"method": "POST", "bindingVersion": "0.3.0"}}
    schemas = definitions("#/components/schemas/")
    bindings = {"$ref": "#/components/messageBindings/event"}
    return {
        "asyncapi": "3.0.0",
        "info": {
            "title": _TITLE,
            "version": __version__,
            "description": f"What a Meeting Receiver sends: CloudEvents 1.0. {_NEWCOMERS}",
            "license": {"name": "Apache-2.0", "url": "https://www.apache.org/licenses/LICENSE-2.0"},
        },
        "defaultContentType": STRUCTURED_TYPE,
        "channels": channels,
        "operations": operations,
        "components": {
            "messages": {name: _message(name, schemas[name], STRUCTURED_TYPE, bindings=bindings) for name in DATA_TYPES}
            | {name: _message(name, schema, JSON_TYPE) for name, schema in LIVE_MESSAGES.items()},
            "messageBindings": {"event": _BINDINGS},
            "schemas": schemas | LIVE_MESSAGES,
        },
    }


def definitions(prefix: str) -> dict[str, Schema]:
    """All schemas by name, which refer to each other as ``prefix`` and name.

    The envelope, then a schema for each event type, named like it, then the data.
    """
    kinds = [kind for kind in dict.fromkeys(DATA_TYPES.values()) if kind is not VendorBody]
    _, components = msgspec.json.schema_components(kinds, ref_template=prefix + "{name}")
    data = {name: _absent_not_null(schema) for name, schema in components.items()}
    made: dict[str, Schema] = {ENVELOPE: _envelope()}
    for name, kind in DATA_TYPES.items():
        made[name] = _event(name, kind, data, prefix)
    media = {DATA_TYPES[name].__name__ for name in MEDIA_TYPES}
    return made | {name: schema for name, schema in sorted(data.items()) if name not in media}


def _envelope() -> Schema:
    return {
        "title": ENVELOPE,
        "description": "The attributes of every event: those of CloudEvents 1.0 and extensions.",
        "type": "object",
        "properties": _ENVELOPE,
        "required": [name for name in _ENVELOPE if name not in _OPTIONAL],
    }


def _event(name: str, kind: type[Data], data: dict[str, Schema], prefix: str) -> Schema:
    properties: Schema = {"type": {"const": name}}
    if name in MEDIA_TYPES:
        attributes, required = _attributes(kind, data)
        properties |= {"data": False, "data_base64": _BASE64 | {"description": "The bytes."}, **attributes}
        required = ["data_base64", *required]
    else:
        anything = {"description": "The vendor's own JSON."}
        content = anything if kind is VendorBody else {"$ref": prefix + kind.__name__}
        properties |= {"datacontenttype": {"const": JSON_TYPE}, "data_base64": False, "data": content}
        required = ["data"]
    return {
        "title": name,
        "description": _prose(kind.__doc__ or name),
        "type": "object",
        "allOf": [{"$ref": prefix + ENVELOPE}],
        "properties": properties,
        "required": required,
    }


def _attributes(kind: type[Data], data: dict[str, Schema]) -> tuple[dict[str, Schema], list[str]]:
    """The attributes that media data become, and the names of those that are always there."""
    schema = data[kind.__name__]
    person = data["Person"]["properties"]
    attributes: dict[str, Schema] = {}
    required = []
    for name, (field, inner) in media_attributes(kind).items():
        attributes[name] = person[inner] if inner else schema["properties"][field]
        if field in schema["required"] and not inner:
            required.append(name)
    return attributes, required


def _absent_not_null(schema: Any) -> Any:
    """The schema of a type as events carry it: a key without a value is absent, so null is none of its values."""
    if isinstance(schema, list):
        return [_absent_not_null(item) for item in schema if item != {"type": "null"}]
    if not isinstance(schema, dict):
        return schema
    made = {key: _absent_not_null(value) for key, value in schema.items() if not (key == "default" and value is None)}
    if isinstance(made.get("description"), str):
        made["description"] = _prose(made["description"])
    if len(made.get("anyOf", ())) == 1:
        made |= made.pop("anyOf")[0]
    return made


def _prose(docstring: str) -> str:
    """A docstring as one line of Markdown."""
    return " ".join(docstring.split()).replace("``", "`")


def _message(name: str, schema: Schema, content_type: str, **more: Schema) -> Schema:
    return {
        "name": name,
        "title": name,
        "summary": schema["description"],
        "contentType": content_type,
        "payload": {"$ref": f"#/components/schemas/{name}"},
        **more,
    }


_SEQUENCE: Schema = _ENVELOPE["sequence"] | {"description": "A place in the journal."}
#: what live readers are told beside events; `receiver.live.frames` makes them
LIVE_MESSAGES: dict[str, Schema] = {
    "receiver.gap": {
        "title": "receiver.gap",
        "description": "Something that the reader asked for, or may have, can not be sent to it any more.",
        "type": "object",
        "properties": {
            "type": {"const": "receiver.gap"},
            "missed": {"type": "integer", "minimum": 1, "description": "Sequence numbers; at most so many events."},
            "from": _SEQUENCE,
            "to": _SEQUENCE,
            "reason": {
                "enum": ["expired", "damaged", "undecodable"],
                "description": "Retention has taken them, the disk has spoilt them, or no decoder takes them now.",
            },
        },
        "required": ["type", "missed", "from", "to", "reason"],
    },
    "receiver.position": {
        "title": "receiver.position",
        "description": "Where the reader is: come back with this `sequence` as `after`.",
        "type": "object",
        "properties": {"type": {"const": "receiver.position"}, "sequence": _SEQUENCE},
        "required": ["type", "sequence"],
    },
}
#: channel -> (address, description)
_CHANNELS: dict[str, tuple[str | None, str]] = {
    "events": (None, "All events, whatever carries them: files, standard output, live streams. One JSON object each."),
    "live": (
        "/live/events",
        "Server-Sent Events, and a WebSocket on the same path: events, and where the reader is. Of Server-Sent Events"
        " `id` is the sequence number and `event` the type; that of a `receiver.gap` is `gap`.",
    ),
    "kafka": (
        "{topic}",
        "The `kafka` sink: CloudEvents Kafka binding, key = `subject`. In binary mode, and always for audio and video,"
        " the attributes are `ce_*` headers and the value is the data alone.",
    ),
    "webhook": (
        None,
        "The `http` sink: CloudEvents HTTP binding, POST to the sink's `url`, signed by Standard Webhooks. In batch"
        " mode a JSON array of events (`application/cloudevents-batch+json`); in binary mode the attributes are `ce-*`"
        " headers and the body is the data alone.",
    ),
}
_BINDINGS: Schema = {
    "kafka": {
        "key": {"type": "string", "description": "The event's `subject`; none where the event has none."},
        "bindingVersion": "0.5.0",
    },
    "http": {
        "headers": {
            "type": "object",
            "properties": {
                "webhook-id": {"type": "string", "description": "The same for each attempt of one request."},
                "webhook-timestamp": {"type": "string", "description": "Seconds since the epoch."},
                "webhook-signature": {"type": "string", "description": "`v1,` and base64; several, apart by spaces."},
            },
        },
        "bindingVersion": "0.3.0",
    },
}
