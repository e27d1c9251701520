"""What a request to the stand-in for Daily asks for, and the vendor's words where it may not (``{error, info}``)."""

import json
import re
from collections.abc import Mapping
from typing import Any

from aiohttp import web

#: objects of a page
MOST = 100
_NAME = re.compile(r"[A-Za-z0-9_-]{1,128}")
_WORDS = {400: "invalid-request-error", 403: "forbidden-error", 404: "not-found"}


class Refusal(Exception):
    """An answer that is no success."""

    def __init__(self, status: int, info: str, word: str = "") -> None:
        super().__init__(info)
        self.status, self.word = status, word or _WORDS[status]


def error_answer(status: int, info: str, word: str) -> web.Response:
    """An answer that is no success."""
    return web.json_response({"error": word, "info": info}, status=status)


async def json_of(request: web.Request) -> Any:
    """The body; an empty one is an empty object."""
    content = await request.read()
    if not content:
        return {}
    try:
        return json.loads(content)
    except ValueError:
        raise Refusal(400, "the body is no JSON", "json-parsing-error") from None


def room_fields(body: Any) -> tuple[str, str, dict[str, Any]]:
    """Name, privacy and properties, held against the documented bounds."""
    if not isinstance(body, dict):
        raise Refusal(400, "expected an object")
    name, privacy, properties = body.get("name", ""), body.get("privacy", ""), body.get("properties", {})
    if unknown := set(body) - {"name", "privacy", "properties"}:
        raise Refusal(400, f"unexpected parameter: {', '.join(sorted(unknown))}")
    if name and not (isinstance(name, str) and _NAME.fullmatch(name)):
        raise Refusal(400, "name: only letters, digits, dash and underscore, at most 128")
    if privacy not in ("", "public", "private"):
        raise Refusal(400, "privacy has to be public or private")
    if not isinstance(properties, dict):
        raise Refusal(400, "properties has to be an object")
    for key in ("nbf", "exp", "max_participants", "eject_after_elapsed"):
        if key in properties and (not isinstance(properties[key], int) or properties[key] < 0):
            raise Refusal(400, f"{key} has to be a whole number")
    return name, privacy, properties


def page(request: web.Request, items: list[dict[str, Any]], id_key: str) -> web.Response:
    """A page of ``items``, which are newest first."""
    ids, shown = [item[id_key] for item in items], items
    if (after := request.query.get("starting_after")) is not None:
        shown = items[place_of(ids, after, "starting_after") + 1 :]
    elif (before := request.query.get("ending_before")) is not None:
        shown = items[: place_of(ids, before, "ending_before")]
    return web.json_response({"total_count": len(items), "data": shown[: limit_of(request, MOST)]})


def place_of(ids: list[str], id_: str, key: str) -> int:
    """Where the object stands among ``ids``."""
    try:
        return ids.index(id_)
    except ValueError:
        raise Refusal(400, f"{key}: no such object") from None


def limit_of(request: web.Request, default: int) -> int:
    """How many objects a page may have."""
    limit = whole(request.query, "limit")
    if limit is not None and not 0 < limit <= MOST:
        raise Refusal(400, f"limit has to be from 1 to {MOST}")
    return default if limit is None else limit


def whole(query: Mapping[str, str], key: str) -> int | None:
    """A whole number of the query; ``None``: not given."""
    try:
        return int(query[key]) if key in query else None
    except ValueError:
        raise Refusal(400, f"{key} has to be a whole number") from None
