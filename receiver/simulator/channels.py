"""Where each of a bot's pushes goes: one URL for all of them, or one for each. Pure."""

from collections.abc import Mapping
from dataclasses import dataclass, fields, replace
from urllib.parse import urlsplit, urlunsplit

_SOCKET_SCHEMES = {"http": "ws", "https": "wss"}


@dataclass(frozen=True, slots=True)
class Channels:
    """URLs as one would put them into ``create_bot``; ``{bot_id}`` in any of them becomes the bot's id."""

    callback: str
    participant: str
    transcript: str
    audio: str
    video: str
    control: str
    transcript_socket: str

    @classmethod
    def derive(cls, url: str, overrides: Mapping[str, str] | None = None) -> "Channels":
        """All channels from one endpoint URL; ``overrides`` replaces some of them by field name.

        POSTs go to ``url`` itself. Sockets go to the same place as ``ws`` or ``wss`` with ``/{bot_id}/audio`` and the
        like behind the path; the query stays. Raises ``ValueError`` for a URL that is not http(s) or names no host,
        and for an unknown channel.
        """
        parts = urlsplit(url)
        if parts.scheme not in _SOCKET_SCHEMES or not parts.hostname:
            raise ValueError("the URL must start with http:// or https:// and name a host")

        def socket(channel: str) -> str:
            path = f"{parts.path.rstrip('/')}/{{bot_id}}/{channel}"
            return urlunsplit((_SOCKET_SCHEMES[parts.scheme], parts.netloc, path, parts.query, ""))

        sockets = {channel: socket(channel) for channel in ("audio", "video", "control")}
        whole = cls(callback=url, participant=url, transcript=url, transcript_socket=socket("transcript"), **sockets)
        unknown = set(overrides or ()) - {field.name for field in fields(cls)}
        if unknown:
            raise ValueError(f"no such channel: {', '.join(sorted(unknown))}")
        return replace(whole, **dict(overrides or {}))

    def of(self, bot_id: str) -> "Channels":
        """The same channels for one bot."""
        return Channels(**{field.name: getattr(self, field.name).replace("{bot_id}", bot_id) for field in fields(self)})
