"""The bearer token of an external application: OAuth 2 client credentials (REST reference, authentication, 06144e6)."""

import asyncio
import time
from collections.abc import Callable

import msgspec

from receiver.errors import VendorError
from receiver.rest.http import Rest
from receiver.settings import Account

#: renewed so long before its end, seconds, as the vendor's own client does
_EARLY_S = 60.0
_LASTS_S = 10_800.0


class _Granted(msgspec.Struct):
    access_token: str
    expires_in: float = _LASTS_S


class Token:
    """The token of ``account``, got when it is asked for. However many ask at once, one of them renews it.

    ``rest`` sends no authorisation. ``clock``: seconds, never backwards.
    """

    def __init__(self, rest: Rest, account: Account, clock: Callable[[], float] = time.monotonic) -> None:
        self._rest, self._account, self._clock = rest, account, clock
        self._lock = asyncio.Lock()
        self._text = ""
        self._until_s = 0.0
        #: counts the tokens that there were
        self.number = 0

    def __repr__(self) -> str:
        return f"Token({self._account.vendor}/{self._account.name}, number {self.number})"

    async def headers(self) -> dict[str, str]:
        """Of a call that wants it. Raises ``VendorError`` where none is granted."""
        if not self._is_good():
            async with self._lock:
                if not self._is_good():
                    await self._renew()
        return {"Authorization": f"Bearer {self._text}"}

    def refused(self, number: int) -> None:
        """The API did not take token ``number``: the next call gets another, unless there has been one since."""
        if number == self.number:
            self._text = ""

    async def revoke(self) -> None:
        """Take the token back at the vendor; nothing is sent where there is none."""
        async with self._lock:
            text, self._text = self._text, ""
            if text:
                form = {"client_id": self._account.id, "client_secret": self._account.key, "token": text}
                await self._rest.call("POST", "api/auth/revoke-token/", form=form, harmless=True)

    def _is_good(self) -> bool:
        return bool(self._text) and self._clock() < self._until_s

    async def _renew(self) -> None:
        if not self._account.id:
            raise VendorError("meemo: the account has no client id: set id beside the secret")
        form = {
            "grant_type": "client_credentials", "client_id": self._account.id, "client_secret": self._account.key,
        }  # fmt: skip
        asked_s = self._clock()
        reply = await self._rest.call("POST", "api/auth/token/", form=form, harmless=True)
        granted = reply.json(_Granted)
        if not granted.access_token:
            raise VendorError(f"{reply.what}: the answer has an empty access_token")
        self._text = granted.access_token
        self._until_s = asked_s + max(granted.expires_in - _EARLY_S, granted.expires_in / 2)
        self.number += 1
