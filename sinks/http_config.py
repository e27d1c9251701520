"""The keys of the http sink and the check of them. Reads environment variables and the secret's file, nothing else.

Secrets are named in the config, not written: what is read here is kept in :class:`Credentials`, which prints nothing.
"""

import os
import re
from pathlib import Path
from typing import Literal

import msgspec
from yarl import URL

from receiver.errors import ConfigError
from sinks.base import SinkConfig
from sinks.standard_webhooks import parse_secrets

_TOKEN = re.compile(r"[!#$%&'*+\-.^_`|~0-9A-Za-z]+")
_BAD_IN_VALUE = re.compile(r"[\x00-\x08\x0a-\x1f\x7f]")
_OURS = re.compile(r"ce-.*|webhook-.*|content-(type|length|encoding)|transfer-encoding|connection|expect", re.I)
_SECRET = re.compile(r"(proxy-)?authorization|cookie", re.I)


class HttpConfig(SinkConfig, kw_only=True, forbid_unknown_fields=True):
    """Keys of ``type = "http"``."""

    #: where to POST to; http or https, without user name and password
    url: str
    #: batch: many events a request, application/cloudevents-batch+json; structured: one, application/cloudevents+json;
    #: binary: one, attributes in ce-* headers, the data alone as body (audio as bytes)
    mode: Literal["batch", "structured", "binary"] = "batch"
    #: environment variable that holds the Standard Webhooks secret, whsec_…; two secrets, apart by a space, while one
    #: takes over from the other; without a secret requests are not signed
    secret_env: str = ""
    #: file that holds it instead; a relative path is below the data folder
    secret_file: str = ""
    #: further headers, name = value
    headers: dict[str, str] = msgspec.field(default_factory=dict)
    #: further headers whose value is a secret, name = environment variable
    headers_env: dict[str, str] = msgspec.field(default_factory=dict)
    #: longest wait in seconds for the answer to one request
    timeout_s: float = 10
    #: largest body of a request of several events; an event that is larger goes alone
    batch_bytes: int = 1_048_576
    #: use the proxies that HTTPS_PROXY and HTTP_PROXY name
    trust_env: bool = False


class Credentials:
    """The keys to sign with and the headers to send. Has no readable form, so that no log can show one."""

    __slots__ = ("headers", "keys")

    def __init__(self, keys: list[bytes], headers: dict[str, str]) -> None:
        self.keys = keys
        self.headers = headers

    def __repr__(self) -> str:
        return "Credentials(…)"


def load_credentials(name: str, config: HttpConfig, data_dir: Path) -> Credentials:
    """Check ``config`` and fetch what it names. Raises ``ConfigError`` with a line for each problem."""
    section = f"sinks.{name}"
    problems = _number_problems(section, config) + _url_problems(section, config.url)
    if config.raw and config.mode == "binary":
        problems.append(f'{section}.raw: found true, allowed false where mode = "binary": the body has no room for it')
    keys = _keys(section, config, data_dir, problems)
    headers = read_headers(section, config.headers, config.headers_env, _OURS, problems)
    if problems:
        raise ConfigError(*problems)
    return Credentials(keys, headers)


def read_headers(
    section: str, plain: dict[str, str], from_environment: dict[str, str], ours: re.Pattern[str], problems: list[str]
) -> dict[str, str]:
    """Further headers of a sink, those with secrets from the environment. ``ours``: names that the sink sets itself."""
    headers = {**plain, **{header: os.environ.get(variable, "") for header, variable in from_environment.items()}}
    for header, value in headers.items():
        secret = header in from_environment
        key = f"{section}.{'headers_env' if secret else 'headers'}.{header}"
        if secret and not value:
            problems.append(_unset(key, from_environment[header]))
        if not _TOKEN.fullmatch(header) or ours.fullmatch(header):
            problems.append(f"{key}: found a name that is no header's or that the sink sets itself, allowed any other")
        if _SECRET.fullmatch(header) and not secret:
            problems.append(f"{key}: found a credential, allowed in headers_env only, as the name of a variable")
        if _BAD_IN_VALUE.search(value) or not value.isascii():
            problems.append(f"{key}: found a value with line breaks or letters outside ASCII, allowed printable ASCII")
    return headers


def _unset(key: str, variable: str) -> str:
    return f"{key}: found no environment variable {variable}, allowed one that is set"


def _number_problems(section: str, config: HttpConfig) -> list[str]:
    return [
        f"{section}.{key}: found {getattr(config, key)}, allowed more than 0"
        for key in ("timeout_s", "batch_bytes")
        if not getattr(config, key) > 0
    ]


def _url_problems(section: str, text: str) -> list[str]:
    """What is wrong with the URL. Its text is not repeated: it may itself be a secret."""
    try:
        url = URL(text)
        usable = url.scheme in ("http", "https") and bool(url.host) and url.port is not None
    except ValueError:
        return [f"{section}.url: found no URL, allowed http://… or https://…"]
    if not usable:
        return [f"{section}.url: found no URL with scheme and host, allowed http://… or https://…"]
    if url.user is not None or url.password is not None:
        return [f"{section}.url: found a user name or password, allowed none: name them in headers_env.Authorization"]
    return []


def _keys(section: str, config: HttpConfig, data_dir: Path, problems: list[str]) -> list[bytes]:
    if config.secret_env and config.secret_file:
        problems.append(f"{section}.secret_env: found beside secret_file, allowed one of the two")
        return []
    if config.secret_env:
        key, text = "secret_env", os.environ.get(config.secret_env, "")
        source = f"the environment variable {config.secret_env}"
        if not text:
            problems.append(_unset(f"{section}.{key}", config.secret_env))
            return []
    elif config.secret_file:
        key, source = "secret_file", f"the file {config.secret_file}"
        try:
            text = (data_dir / config.secret_file).read_text("ascii")
        except (OSError, UnicodeDecodeError) as error:
            problems.append(f"{section}.{key}: found {source}, which cannot be read ({type(error).__name__})")
            return []
    else:
        return []
    try:
        return parse_secrets(text)
    except ValueError as error:
        problems.append(f"{section}.{key}: found {error} in {source}, allowed a secret like whsec_ and base64")
        return []
