"""The sections of a config: every key with its type and its default. Pure.

Each key stands in ``config/receiver.toml`` as well, and a test compares the two.
"""

from typing import Annotated, Any, Literal

import msgspec
from msgspec import Meta

from receiver.data import FetchedKind

_MOST = 1 << 60
Port = Annotated[int, Meta(ge=0, le=65535)]
Positive = Annotated[int, Meta(ge=1, le=_MOST)]
NotNegative = Annotated[int, Meta(ge=0, le=_MOST)]
#: up to thirty years; neither infinite nor NaN
Seconds = Annotated[float, Meta(ge=0, le=1e9)]


class Section(msgspec.Struct, kw_only=True, frozen=True, forbid_unknown_fields=True):
    """A table of a config in which a key that nobody knows is a mistake."""


class ServerSettings(Section, kw_only=True, frozen=True, forbid_unknown_fields=True):
    """``[server]``: the one port, and what a client may cost."""

    host: str = "127.0.0.1"
    port: Port = 8080
    #: https://… as vendors see it; where it is set, what is live is read with a token only
    public_url: str = ""
    #: PEM files, to serve TLS without a proxy; relative to the config's folder
    tls_cert_file: str = ""
    tls_key_file: str = ""
    #: largest HTTP body
    max_body_bytes: Positive = 10 << 20
    #: largest WebSocket message; video pieces are large
    max_message_bytes: Positive = 16 << 20
    #: a request must be complete within this time
    request_timeout_s: Seconds = 30.0
    #: bytes of bodies that are under way at any moment, of all clients together; beyond it they wait, then 503
    max_inflight_bytes: Positive = 256 << 20
    #: bytes of WebSocket messages that are not complete, of all sockets together; beyond it they are read in turn
    max_inflight_message_bytes: Positive = 128 << 20
    #: a new connection must show a complete head within this time
    head_timeout_s: Seconds = 10.0
    #: a connection without a request is closed after this time; longer than the proxy in front keeps it
    idle_timeout_s: Seconds = 150.0
    #: open connections; new ones beyond are told 503
    max_connections: Positive = 20_000
    #: failed credentials of an address, beyond which it is told 429; a valid one always passes; 0 = no limit
    max_bad_tokens_per_minute: NotNegative = 60
    #: protocol pings on quiet sockets; a peer that does not answer is gone; 0 = none
    heartbeat_s: Seconds = 60.0
    #: a socket that comes back within this time continues its stream
    resume_s: Seconds = 600.0
    #: SIGTERM: longest time to finish requests, close sockets and flush sinks
    drain_s: Seconds = 15.0
    #: a sink that is further behind has a second process deliver what it missed, while it does; 0 = never
    helper_after_s: Seconds = 5.0


class LaneSettings(Section, kw_only=True, frozen=True, forbid_unknown_fields=True):
    """``[journal.events]``, ``[journal.media]``, ``[journal.quarantine]``: retention, by whichever comes first."""

    max_bytes: Positive
    max_age_s: Seconds
    #: files are deleted as a whole: the grain of retention
    segment_bytes: Positive = 64 << 20
    #: memory for the newest records, decoded, for sinks that keep up
    tail_bytes: NotNegative = 8 << 20
    #: ``media`` only: time between syncs to disk; the others are synced before anything is answered
    sync_every_ms: NotNegative = 0


class JournalSettings(Section, kw_only=True, frozen=True, forbid_unknown_fields=True):
    """``[journal]``."""

    events: LaneSettings = LaneSettings(max_bytes=8 << 30, max_age_s=7 * 86400)
    media: LaneSettings = LaneSettings(
        max_bytes=16 << 30, max_age_s=86400, segment_bytes=256 << 20, tail_bytes=32 << 20, sync_every_ms=1000
    )
    quarantine: LaneSettings = LaneSettings(max_bytes=1 << 30, max_age_s=30 * 86400, tail_bytes=0)
    #: deliveries remembered to recognise repeats
    dedup_entries: Positive = 200_000
    dedup_window_s: Seconds = 48 * 3600.0
    #: deliveries without any time or id of the vendor's are repeats only within this time
    dedup_untimed_window_s: Seconds = 10.0
    #: readiness turns red below this much free disk
    min_free_bytes: NotNegative = 256 << 20
    #: below these no media, and no transcripts, are taken; callbacks are as long as there is any
    min_free_media_bytes: NotNegative = 256 << 20
    min_free_transcript_bytes: NotNegative = 64 << 20


class EndpointSettings(Section, kw_only=True, frozen=True, forbid_unknown_fields=True):
    """``[endpoints.VENDOR.NAME]``: one URL path. Without token and secret anybody who reaches it may deliver."""

    #: ``auto``: made at first start, kept in the data folder, shown by ``receiver urls``
    token: Literal["", "auto"] = ""
    #: environment variable, or file relative to the config's folder, that holds the token
    token_env: str = ""
    token_file: str = ""
    #: environment variables that hold signing secrets; any may fit, so that they can be rotated
    secret_env: list[str] = []
    secret_file: list[str] = []
    #: where the vendor publishes the public key of its signatures (RealtimeKit), in place of secrets of ours
    key_url: str = ""
    #: take deliveries without any credential although the server is reachable from other machines
    open: bool = False
    #: how deliveries are signed and named, where the vendor's documents do not say it (Meemo): keys of the vendor's own
    scheme: dict[str, Any] = msgspec.field(default_factory=dict)


class AccountSettings(Section, kw_only=True, frozen=True, forbid_unknown_fields=True):
    """``[accounts.VENDOR.NAME]``: the vendor's REST API, for what comes in at the endpoint of the same name."""

    #: environment variable, or file relative to the config's folder, that holds the API key or client secret
    key_env: str = ""
    key_file: str = ""
    #: what goes with the key: Meemo's client id, RealtimeKit's ACCOUNT_ID/APP_ID
    id: str = ""
    #: in place of the vendor's own
    base_url: str = ""
    #: fetched by itself once it is announced, or once the bot or meeting has ended
    fetch: list[FetchedKind] = []
    #: once it has ended, compare with the vendor's own record and journal what was missed
    reconcile: bool = False
    #: what has not come after this time is given up
    give_up_s: Seconds = 3600.0


class DialSettings(Section, kw_only=True, frozen=True, forbid_unknown_fields=True):
    """``[dial.NAME]``: a socket that the receiver dials and keeps dialled; what comes on it comes to an endpoint."""

    vendor: Literal["realtimekit"] = "realtimekit"
    #: of that vendor, under whose name the events come
    endpoint: str = "default"
    #: environment variable, or file relative to the config's folder, that holds the participant's token
    token_env: str = ""
    token_file: str = ""
    #: ``""``: the vendor's own
    url: str = ""
    #: the meeting: until the socket itself tells it, and to go on with the same connection after a restart
    subject: str = ""
    #: without a connection that lasts for so long, it is given up
    give_up_s: Seconds = 600.0
    #: hung up where nothing has happened for so long; 0 = never
    quiet_s: Seconds = 3600.0


class AdminSettings(Section, kw_only=True, frozen=True, forbid_unknown_fields=True):
    """``[admin]``: who may send commands to bots over HTTP."""

    token_env: str = ""
    token_file: str = ""


Scope = Literal["events", "audio", "meetings", "admin"]
Hidden = Literal["names", "text"]


class ReaderSettings(Section, kw_only=True, frozen=True, forbid_unknown_fields=True):
    """``[readers.NAME]``: who may read what is live. Its tokens have nothing to do with those of endpoints."""

    #: ``auto``: made at first start, kept in the data folder, shown by ``receiver urls``
    token: Literal["", "auto"] = ""
    #: environment variable, or file relative to the config's folder, that holds the token
    token_env: str = ""
    token_file: str = ""
    #: what the token opens; ``admin``: orders at ``/api/…``, as with ``[admin]``
    scopes: list[Scope] = msgspec.field(default_factory=lambda: ["events", "audio", "meetings"])
    #: what this reader does not see: ``names`` of people (they are told apart all the same), ``text`` that was said
    redact: list[Hidden] = []


class LiveSettings(Section, kw_only=True, frozen=True, forbid_unknown_fields=True):
    """``[live]``: what is read while it happens."""

    #: pages of other origins that may read, ``https://app.example.org``; ``*``: any, each needs a token all the same
    cors_origins: list[str] = []
    #: readers that are connected at the same time; new ones beyond are told 503
    max_clients: Positive = 2000
    #: what nobody sees who reads: ``names``, ``text``; each reader may have more
    redact: list[Hidden] = []
    #: a login on the page lasts so long
    session_s: Seconds = 12 * 3600.0


class MeetingsSettings(Section, kw_only=True, frozen=True, forbid_unknown_fields=True):
    """``[meetings]``: what is known of meetings, in memory and in a file for the next start; the journal has it all."""

    #: so far back events are folded at the start
    history_s: Seconds = 2 * 86400.0
    #: a meeting of which nothing has come for so long has ended, where nothing else told it
    quiet_s: Seconds = 900.0
    #: beyond these, meetings and transcripts of those that ended longest ago go
    most_meetings: Positive = 1000
    most_characters: Positive = 64_000_000


class LogSettings(Section, kw_only=True, frozen=True, forbid_unknown_fields=True):
    """``[log]``: structured logs on standard error."""

    level: Literal["debug", "info", "warning", "error"] = "info"
    format: Literal["json", "text", "auto"] = "auto"
