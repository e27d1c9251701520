"""The files of a track recording: one WebM for each track of a participant, as a list of layers.

Shape: ``[{layer_name, download_urls{<file name>: {download_url}}}]``; a file name is
``{prefix}_{user id}_{peer id}_{stream kind}_{media kind}_{epoch ms}.webm``.
Source: RealtimeKit, track recording (2026).
"""

import re
from typing import Any

import msgspec

from receiver.errors import Malformed
from receiver.vendors.wire import typed

#: the prefix is the customer's and may have underscores of its own
_NAME = re.compile(
    r"(?P<prefix>.*)_(?P<user>[^_]+)_(?P<peer>[^_]+)_(?P<stream>[^_]+)_(?P<media>[^_]+)_(?P<ms>[0-9]{1,16})\.\w+"
)


class TrackFile(msgspec.Struct, frozen=True):
    """One file. ``url`` needs no password: a secret. What the name does not tell is ``None``; ``started_ms``: epoch."""

    layer: str
    name: str
    url: str
    prefix: str | None = None
    user_id: str | None = None
    peer_id: str | None = None
    stream_kind: str | None = None
    media_kind: str | None = None
    started_ms: int | None = None


class _Link(msgspec.Struct):
    download_url: str | None = None


class _Layer(msgspec.Struct):
    layer_name: str | None = None
    download_urls: dict[str, _Link] | None = None


def track_files(layers: list[Any], at: str = "$") -> list[TrackFile]:
    """The files of all ``layers``, in the order of the list, which stands at the path ``at``. Raises ``Malformed``."""
    files: list[TrackFile] = []
    for index, layer in enumerate(layers):
        if not isinstance(layer, dict):
            raise Malformed("expected a JSON object", f"{at}[{index}]")
        told = typed(layer, _Layer, f"{at}[{index}]")
        files += [
            _file(told.layer_name or "", name, link.download_url or "")
            for name, link in (told.download_urls or {}).items()
        ]
    return files


def _file(layer: str, name: str, url: str) -> TrackFile:
    found = _NAME.fullmatch(name)
    if found is None:
        return TrackFile(layer, name, url)
    return TrackFile(
        layer, name, url, found["prefix"], found["user"], found["peer"], found["stream"], found["media"],
        int(found["ms"]),
    )  # fmt: skip
