"""Which RealtimeKit an account is at, and calls to it: authorisation, the envelope, pages.

Cloudflare's API has the account and the app in its path and takes a bearer token. Dyte's, which came before, takes the
organisation and its key as basic authorisation.
"""

import base64
import re
from collections.abc import AsyncIterator, Mapping
from typing import Any, TypeVar
from urllib.parse import quote

import aiohttp
import msgspec

from receiver.errors import VendorCannot, VendorError, VendorPending
from receiver.redaction import redact_text
from receiver.rest.http import Query, Reply, Rest, Tries, retry_after_s
from receiver.rest.realtimekit.answers import Answer, Paging
from receiver.rest.realtimekit.requests import checked
from receiver.settings import Account

T = TypeVar("T")

CLOUDFLARE_URL = "https://api.cloudflare.com/client/v4"
DYTE_URL = "https://api.dyte.io/v2"
#: items of a page; the vendor tells no most, its own default is 20
PER_PAGE = 50
_ID = re.compile(r"[A-Za-z0-9][\w.\-]{0,127}", re.ASCII)
_ACCOUNT = re.compile(r"[\w\-]{1,64}", re.ASCII)
#: an answer that never comes to an end is none
_MOST_PAGES = 10_000


class Access:
    """Calls below an account's app. ``dyte``: of the older kind."""

    def __init__(self, account: Account, client: aiohttp.ClientSession, tries: Tries | None = None) -> None:
        """``account.id`` is ``ACCOUNT/APP`` with a Cloudflare API token as ``key``; or an organisation's id, or empty,
        with Dyte's API key, then as ``ORG:KEY``. Raises ``VendorCannot`` where it is neither."""
        first, slash, app = account.id.partition("/")
        self.dyte = not slash
        self.prefix = ""
        if not account.key:
            raise VendorCannot("realtimekit: found no key, allowed a Cloudflare API token or a Dyte API key")
        if self.dyte:
            pair = f"{first}:{account.key}" if first else account.key
            if not re.fullmatch(r"[^:\s]+:[^\s]+", pair):
                raise VendorCannot(
                    'realtimekit: found an id that names no app, allowed id = "ACCOUNT/APP" with a Cloudflare API'
                    ' token, id = "ORGANISATION" with a Dyte API key, or a key of the form ORGANISATION:KEY'
                )
            self._authorization = "Basic " + base64.b64encode(pair.encode()).decode()
        else:
            if not (_ACCOUNT.fullmatch(first) and _ACCOUNT.fullmatch(app)):
                raise VendorCannot('realtimekit: found an id that is no pair of ids, allowed id = "ACCOUNT/APP"')
            self.prefix = f"accounts/{first}/realtime/kit/{app}/"
            self._authorization = f"Bearer {account.key}"
        base_url = account.base_url or (DYTE_URL if self.dyte else CLOUDFLARE_URL)
        self.rest = Rest(client, account.vendor, base_url, self._headers, tries=tries or Tries())

    def __repr__(self) -> str:
        return f"Access({self.rest!r})"

    async def _headers(self) -> Mapping[str, str]:
        return {"Authorization": self._authorization, "Accept": "application/json"}

    async def call(
        self, method: str, path: str, *, query: Query | None = None, body: msgspec.Struct | None = None,
        harmless: bool | None = None,
    ) -> Reply:  # fmt: skip
        """The answer. Raises ``VendorPending`` on 202, ``VendorCannot`` on a field that is not allowed (nothing sent),
        else what ``Rest.call`` raises."""
        json = None if body is None else checked(body)
        reply = await self.rest.call(method, self.prefix + path, query=query, json=json, harmless=harmless)
        if reply.status == 202 and method == "GET":
            raise VendorPending(f"{reply.what}: not ready yet", retry_after_s=retry_after_s(reply.headers) or 0.0)
        return reply

    async def ask(
        self, method: str, path: str, type_: type[T], *, query: Query | None = None,
        body: msgspec.Struct | None = None, harmless: bool | None = None,
    ) -> T:  # fmt: skip
        """What stands under ``data`` in the answer, as ``type_``."""
        reply = await self.call(method, path, query=query, body=body, harmless=harmless)
        return unwrapped(reply, type_)

    async def pages(
        self, path: str, query: msgspec.Struct | None, *, within: str = "", per_page: int = PER_PAGE
    ) -> AsyncIterator[msgspec.Raw]:
        """The items of a list, page by page, each once. ``within``: the key below ``data`` that has them.

        The first page is 1; where the vendor's answer says that this was the second, 0 comes before it. The list ends
        with ``total_count``, or where that is not told, with a page that is not full.
        """
        if per_page < 1:
            raise VendorCannot("realtimekit: nothing sent: per_page: Expected `int` >= 1")
        asked = {} if query is None else checked(query)
        number, taken = 1, 0
        items, paging = await self._page(path, asked, number, within, per_page)
        if paging.start_offset is not None and paging.start_offset > 1 and per_page > 1:
            number = 0
            items, paging = await self._page(path, asked, number, within, per_page)
        while True:
            for item in items:
                yield item
            taken, number = taken + len(items), number + 1
            over = len(items) < per_page if paging.total_count is None else taken >= paging.total_count
            if over or not items:
                return
            if number > _MOST_PAGES:
                raise VendorError(f"realtimekit: the list {path} has no end; {_MOST_PAGES} pages were read")
            items, paging = await self._page(path, asked, number, within, per_page)

    async def _page(
        self, path: str, asked: Mapping[str, Any], number: int, within: str, per_page: int
    ) -> tuple[list[msgspec.Raw], Paging]:
        reply = await self.call("GET", path, query={**asked, "page_no": number, "per_page": per_page})
        if not within:
            listed = reply.json(Answer[list[msgspec.Raw] | None])
            return listed.data or [], listed.paging or Paging()
        held = reply.json(Answer[dict[str, msgspec.Raw] | None])
        told = (held.data or {}).get(within)
        return decoded(told, list[msgspec.Raw], path) if told is not None else [], held.paging or Paging()


def unwrapped(reply: Reply, type_: type[T]) -> T:
    """``data`` of an answer. Raises ``VendorError`` where the envelope itself says no."""
    answer = reply.json(Answer[type_])  # type: ignore[valid-type]
    if answer.success is False:
        raise VendorError(f"{reply.what}: answered {reply.status} without success", vendor_status=reply.status)
    return answer.data


def decoded(raw: msgspec.Raw, type_: type[T], what: str) -> T:
    """One item of a list. Raises ``VendorError`` that names the field."""
    try:
        return msgspec.json.decode(raw, type=type_, strict=False)
    except (msgspec.DecodeError, ValueError) as error:
        raise VendorError(f"realtimekit: GET {what}: the answer is not as documented ({error})") from None


def id_of(id_: str, what: str) -> str:
    """``id_`` as a part of a path. Raises ``VendorCannot`` where it is none: nothing may lead elsewhere."""
    if not _ID.fullmatch(id_):
        found = redact_text(id_[:40])
        raise VendorCannot(f"realtimekit: nothing sent: found {found!r} as {what}, allowed letters, digits, - . and _")
    return quote(id_, safe="")
