"""What a request asks for, read strictly; what cannot be is a ``Refusal`` with the answer."""

from datetime import date, datetime
from typing import Any

from aiohttp import web


class Refusal(Exception):
    """A request that is answered with ``status`` and ``body``."""

    def __init__(self, status: int, body: Any) -> None:
        super().__init__(status)
        self.status, self.body = status, body


async def read_object(request: web.Request) -> dict[str, Any]:
    """The JSON object of a body."""
    try:
        body = await request.json()
    except ValueError:
        body = None
    if not isinstance(body, dict):
        raise Refusal(400, {"detail": "JSON parse error."})
    return body


def named_in(by_id: dict[int, Any], request: web.Request) -> Any:
    """The one whose id the path has."""
    text = request.match_info["id"]
    one = by_id.get(int(text)) if text.isdecimal() else None
    if one is None:
        raise Refusal(404, {"detail": "Not found."})
    return one


def whole_number(text: str, key: str) -> int:
    """``text``, the value of ``key``, as a number."""
    try:
        return int(text)
    except ValueError:
        raise Refusal(400, {key: ["A whole number is needed."]}) from None


def day_of(text: str, key: str) -> date:
    """``text``, the value of ``key``, as a day."""
    try:
        return datetime.strptime(text, "%Y-%m-%d").date()
    except ValueError:
        raise Refusal(400, {key: ["Enter a date as YYYY-MM-DD."]}) from None
