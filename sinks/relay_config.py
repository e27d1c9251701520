"""The keys of the relay sink, the check of them, and the templates in them. Reads environment variables only."""

import json
import os
import re
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Any, Literal
from urllib.parse import quote

import msgspec
from yarl import URL

from receiver.audio.encode import frame_bytes
from receiver.errors import ConfigError
from sinks.base import SinkConfig
from sinks.http_config import read_headers

_PLACEHOLDER = re.compile(r"\{([a-z_]+)\}")
_OURS = re.compile(r"host|upgrade|connection|sec-websocket-.*|content-(type|length)", re.I)
_STREAM = frozenset({"subject", "track", "vendor"})
_FORM = frozenset({"codec", "rate_hz", "channels", "frame_ms", "first_sample", "time"})


class RelayConfig(SinkConfig, kw_only=True, forbid_unknown_fields=True):
    """Keys of ``type = "relay"``."""

    types: list[str] = msgspec.field(default_factory=lambda: ["audio.*", "stream.*"])
    #: where to dial to, ws or wss; placeholders {subject}, {track}, {vendor} in path and query
    url: str
    #: further headers of the handshake, name = value
    headers: dict[str, str] = msgspec.field(default_factory=dict)
    #: further headers whose value is a secret, name = environment variable
    headers_env: dict[str, str] = msgspec.field(default_factory=dict)
    #: pcm_s16le or pcm_mulaw
    codec: Literal["pcm_s16le", "pcm_mulaw"] = "pcm_s16le"
    #: sample rate in hertz, 8000 to 48000
    rate_hz: int = 16_000
    #: 1 or 2
    channels: int = 1
    #: length of each message, 10 to 1000 milliseconds
    frame_ms: int = 20
    #: binary: the bytes alone; json: the text of ``audio`` with the bytes in base64
    framing: Literal["binary", "json"] = "binary"
    #: first message of a connection; placeholders {subject}, {track}, {vendor}, {codec}, {rate_hz}, {channels},
    #: {frame_ms}, {first_sample}, {time}; empty: none
    start: str = (
        '{"type":"start","subject":"{subject}","track":"{track}","codec":"{codec}","rate_hz":{rate_hz},'
        '"channels":{channels},"frame_ms":{frame_ms},"first_sample":{first_sample},"time":"{time}"}'
    )
    #: each message where framing = "json"; placeholder {audio}
    audio: str = '{"type":"audio","audio":"{audio}"}'
    #: last message of a stream; placeholders {subject}, {track}, {vendor}; empty: none
    stop: str = '{"type":"stop"}'
    #: longest wait in seconds for a handshake, and for the far side to take one message
    timeout_s: float = 10
    #: how long in seconds answers are awaited after the last message
    linger_s: float = 5
    #: where answers go: an endpoint of this server, http or https, placeholders as in ``url``; empty: nowhere
    answers_url: str = ""
    #: environment variable with the endpoint's token
    answers_token_env: str = ""
    #: where in an answer (JSON) its text is, as keys and indexes: channel.alternatives.0.transcript
    answer_text: str = "text"
    #: where in an answer it says that it is final; absent there: it is
    answer_final: str = "final"
    #: what is posted; placeholders {subject}, {track}, {vendor}, {text}, {final}, {time}. As MeetStream's bots post it
    answer: str = '{"bot_id":"{subject}","transcript":"{text}","is_final":{final},"timestamp":"{time}"}'

    @property
    def frames(self) -> int:
        """Frames of one message."""
        return self.rate_hz * self.frame_ms // 1000

    @property
    def message_bytes(self) -> int:
        """Bytes of sound in one message."""
        return self.frames * frame_bytes(self.codec, self.channels)


class RelaySecrets:
    """Headers of the handshake, and those of answers. Has no readable form, so that no log can show one."""

    __slots__ = ("answers", "headers")

    def __init__(self, headers: dict[str, str], answers: dict[str, str]) -> None:
        self.headers = headers
        self.answers = answers

    def __repr__(self) -> str:
        return "RelaySecrets(…)"


def fill_json(template: str, values: dict[str, Any]) -> str:
    """``template`` with its placeholders filled, as they stand in JSON: text escaped, without quotes around it."""

    def value(found: re.Match[str]) -> str:
        text = json.dumps(values[found[1]])
        return text[1:-1] if text.startswith('"') else text

    return _PLACEHOLDER.sub(value, template)


def fill_url(template: str, values: dict[str, Any]) -> str:
    """``template`` with its placeholders filled, percent-encoded."""
    return _PLACEHOLDER.sub(lambda found: quote(str(values[found[1]]), safe="", errors="replace"), template)


def pick(answer: Any, path: str) -> Any:
    """What lies at ``path`` (keys and indexes apart by dots) in JSON; ``None`` where nothing does."""
    for step in path.split("."):
        if isinstance(answer, dict):
            answer = answer.get(step)
        elif isinstance(answer, list) and step.isdecimal() and int(step) < len(answer):
            answer = answer[int(step)]
        else:
            return None
    return answer


def load_secrets(name: str, config: RelayConfig, data_dir: Path) -> RelaySecrets:
    """Check ``config`` and fetch what it names. Raises ``ConfigError`` with a line for each problem."""
    section = f"sinks.{name}"
    problems: list[str] = []
    for key, least, most in (("rate_hz", 8000, 48_000), ("channels", 1, 2), ("frame_ms", 10, 1000)):
        if not least <= getattr(config, key) <= most:
            problems.append(f"{section}.{key}: found {getattr(config, key)}, allowed {least} to {most}")
    if config.rate_hz * config.frame_ms % 1000:
        problems.append(
            f"{section}.frame_ms: found {config.frame_ms}, no whole number of samples at {config.rate_hz} Hz,"
            " allowed one that is"
        )
    for key, least_s in (("timeout_s", 0.0), ("linger_s", -1.0)):
        if not getattr(config, key) > least_s:
            problems.append(f"{section}.{key}: found {getattr(config, key)}, allowed more than {max(0, int(least_s))}")
    if not any(fnmatchcase("stream.closed", pattern) for pattern in config.types):
        problems.append(
            f"{section}.types: found nothing that stream.closed fits, allowed with it: it ends a connection"
        )
    _check_templates(section, config, problems)
    _check_url(section, "url", config.url, ("ws", "wss"), problems)
    if config.answers_url:
        _check_url(section, "answers_url", config.answers_url, ("http", "https"), problems)
    headers = read_headers(section, config.headers, config.headers_env, _OURS, problems)
    answers = {"Content-Type": "application/json"}
    if config.answers_token_env:
        token = os.environ.get(config.answers_token_env, "").strip()
        answers["Authorization"] = f"Bearer {token}"
        if not (token and token.isascii() and token.isprintable()):
            problems.append(
                f"{section}.answers_token_env: found no token in the environment variable {config.answers_token_env},"
                " allowed one that is set"
            )
    if problems:
        raise ConfigError(*problems)
    return RelaySecrets(headers, answers)


def _check_templates(section: str, config: RelayConfig, problems: list[str]) -> None:
    for key, known in (
        ("url", _STREAM), ("start", _STREAM | _FORM), ("audio", {"audio"}), ("stop", _STREAM),
        ("answers_url", _STREAM), ("answer", _STREAM | {"text", "final", "time"}),
    ):  # fmt: skip
        allowed = ", ".join(f"{{{name}}}" for name in sorted(known))
        problems += [
            f"{section}.{key}: found {{{name}}}, allowed {allowed}"
            for name in _PLACEHOLDER.findall(getattr(config, key))
            if name not in known
        ]


def _check_url(section: str, key: str, template: str, schemes: tuple[str, ...], problems: list[str]) -> None:
    """Its text is not repeated: it may itself be a secret."""
    allowed = f"allowed {schemes[0]}://… or {schemes[1]}://…"
    try:
        url = URL(_PLACEHOLDER.sub("x", template))
        host = template.partition("://")[2].partition("/")[0].partition("?")[0]
        usable = url.scheme in schemes and bool(url.host) and url.port is not None
    except ValueError:
        problems.append(f"{section}.{key}: found no URL, {allowed}")
        return
    if not usable or "{" in host:
        problems.append(f"{section}.{key}: found no URL with scheme and host, {allowed}, placeholders behind the host")
    elif url.user is not None or url.password is not None:
        problems.append(f"{section}.{key}: found a user name or password, allowed none: name it in headers_env")
