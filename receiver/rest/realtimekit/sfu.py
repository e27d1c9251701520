"""The Realtime SFU's adapters: they dial a socket and send one track's media to it, or take media from one.

The SFU is another product with an app id and secret of its own. Source: Realtime SFU, WebSocket adapter (2026).
"""

from collections.abc import Mapping
from typing import Annotated, Literal

import aiohttp
import msgspec
from msgspec import Meta

from receiver.errors import VendorCannot, VendorUnreachable
from receiver.rest.http import Reply, Rest, Tries
from receiver.rest.realtimekit.access import id_of
from receiver.rest.realtimekit.requests import Part, Text, checked

SFU_URL = "https://rtc.live.cloudflare.com/v1"
#: an adapter takes so many tracks in one call
MOST_TRACKS = 4
_Socket = Annotated[str, Meta(pattern=r"^wss?://[^\s]+$")]


class OutTrack(Part, kw_only=True, tag_field="location", tag="remote", omit_defaults=False):
    """A track to be sent to ``endpoint``: ``pcm`` is sound, 48 kHz stereo; ``jpeg`` a picture a second."""

    sessionId: Text  # noqa: N815 - the vendor's spelling
    trackName: Text  # noqa: N815 - the vendor's spelling
    endpoint: _Socket
    outputCodec: Literal["pcm", "jpeg"] = "pcm"  # noqa: N815 - the vendor's spelling


class InTrack(Part, kw_only=True, tag_field="location", tag="local", omit_defaults=False):
    """A track that is made of what is read from ``endpoint``."""

    trackName: Text  # noqa: N815 - the vendor's spelling
    endpoint: _Socket
    inputCodec: Literal["pcm"] = "pcm"  # noqa: N815 - the vendor's spelling
    mode: Literal["buffer"] = "buffer"


class Adapter(msgspec.Struct, frozen=True):
    """What became of one track; ``errorCode`` where nothing did. Its repr shows no endpoint, which has a token."""

    trackName: str | None = None  # noqa: N815 - the vendor's spelling
    adapterId: str | None = None  # noqa: N815 - the vendor's spelling
    sessionId: str | None = None  # noqa: N815 - the vendor's spelling
    endpoint: str | None = None
    bytesProcessed: int | None = None  # noqa: N815 - the vendor's spelling
    errorCode: str | None = None  # noqa: N815 - the vendor's spelling
    errorDescription: str | None = None  # noqa: N815 - the vendor's spelling

    def __repr__(self) -> str:
        return f"Adapter({self.adapterId or self.errorCode})"


class _Adapters(msgspec.Struct, frozen=True):
    tracks: list[Adapter] = []


class SfuApi:
    """One SFU app. Calls raise ``VendorError`` and what derives from it."""

    def __init__(
        self, app_id: str, secret: str, client: aiohttp.ClientSession, *, base_url: str = "", tries: Tries | None = None
    ) -> None:
        """``client`` is the caller's, who closes it. Raises ``VendorCannot`` where there is no id or secret."""
        if not secret:
            raise VendorCannot("realtimekit: found no secret of the SFU app, allowed the one that its dashboard shows")
        self._secret = secret
        url = f"{(base_url or SFU_URL).rstrip('/')}/apps/{id_of(app_id, 'SFU app')}"
        # a batch of which nothing worked is answered 503, with a code for each track
        self._rest = Rest(client, "realtimekit", url, self._headers, accepted=frozenset({503}), tries=tries or Tries())

    def __repr__(self) -> str:
        return f"SfuApi({self._rest!r})"

    async def start(self, tracks: list[OutTrack] | list[InTrack]) -> list[Adapter]:
        """Have the vendor dial each track's endpoint. An adapter for each, some perhaps with an error only.

        Raises ``VendorUnreachable`` where not one worked, with the vendor's codes.
        """
        if not 1 <= len(tracks) <= MOST_TRACKS:
            raise VendorCannot(f"realtimekit: nothing sent: found {len(tracks)} tracks, allowed 1 to {MOST_TRACKS}")
        return await self._batch("new", {"tracks": [checked(track) for track in tracks]})

    async def stop(self, adapter_ids: list[str]) -> list[Adapter]:
        """Close adapters; the answer may tell how many bytes each has carried."""
        if not adapter_ids:
            raise VendorCannot("realtimekit: nothing sent: found no adapter, allowed one or more")
        return await self._batch("close", {"tracks": [{"adapterId": id_of(one, "adapter")} for one in adapter_ids]})

    async def _batch(self, what: str, body: Mapping[str, object]) -> list[Adapter]:
        reply: Reply = await self._rest.call("POST", f"adapters/websocket/{what}", json=body)
        found = reply.json(_Adapters).tracks
        if reply.status == 503 or (found and all(adapter.errorCode for adapter in found)):
            codes = ", ".join(sorted({adapter.errorCode or "" for adapter in found}))
            raise VendorUnreachable(f"{reply.what}: no track worked", vendor_status=reply.status, words=codes)
        return found

    async def _headers(self) -> Mapping[str, str]:
        return {"Authorization": f"Bearer {self._secret}"}
