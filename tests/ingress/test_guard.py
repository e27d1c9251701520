"""What a URL names, and who may: endpoint, token and hints, without a server."""

import pytest

from receiver.errors import NotFound, Unauthorized
from receiver.ingress.guard import Guard, Target
from receiver.settings import Endpoint

OPEN = Endpoint(vendor="meetstream", name="default")
TOKEN = Endpoint(vendor="meetstream", name="token", tokens=("tok", "rotated"))
SIGNED = Endpoint(vendor="meetstream", name="signed", secrets=("s",))
GUARD = Guard([OPEN, TOKEN, SIGNED])


def ask(path: str, query: dict[str, str] | None = None, authorization: str | None = None) -> Target:
    return GUARD.target(path, query or {}, authorization)


@pytest.mark.parametrize(
    ("path", "endpoint", "subject", "channel"),
    [
        ("/meetstream", OPEN, "", ""),
        ("/meetstream/default/", OPEN, "", ""),
        ("//meetstream//default", OPEN, "", ""),
        ("/meetstream/default/bot-1", OPEN, "bot-1", ""),
        ("/meetstream/default/audio", OPEN, "", "audio"),
        ("/meetstream/default/AUDIO/bot-1", OPEN, "bot-1", "audio"),
        ("/meetstream/default/bot-1/video", OPEN, "bot-1", "video"),
        ("/meetstream/default/a%2Fb/control", OPEN, "a/b", "control"),
        ("/meetstream/default/b%C3%B6t/transcript", OPEN, "böt", "transcript"),
        ("/meetstream/default/bot-1/more", OPEN, "bot-1", ""),
        ("/meetstream/token/tok/bot-1", TOKEN, "bot-1", ""),
        ("/meetstream/token/bot-1/audio/tok", TOKEN, "bot-1", "audio"),
    ],
)
def test_a_path_names_endpoint_bot_and_channel_in_any_order(
    path: str, endpoint: Endpoint, subject: str, channel: str
) -> None:
    """Section B: the path may carry hints; the token is none of them."""
    target = ask(path)
    assert (target.endpoint, target.subject, target.channel) == (endpoint, subject, channel)


@pytest.mark.parametrize(
    "path",
    ["", "/", "/x", "/x/default", "/meetstream/x", "/MeetStream/default", "/meetstream/default" + "/a" * 7,
     "/meetstream/default/" + "a" * 513],
)  # fmt: skip
def test_what_is_not_there_is_not_found(path: str) -> None:
    """Unknown paths, too many segments and endless ids get a sentence, not a target."""
    with pytest.raises(NotFound):
        ask(path)


@pytest.mark.parametrize(
    ("path", "query", "authorization", "authorized"),
    [
        ("/meetstream/token", {}, None, False),
        ("/meetstream/token/tok", {}, None, True),
        ("/meetstream/token/rotated/audio", {}, None, True),
        ("/meetstream/token/to%6B", {}, None, True),
        ("/meetstream/token/Tok", {}, None, False),
        ("/meetstream/token/tok%00", {}, None, False),
        ("/meetstream/token/t%C3%B6k", {}, None, False),
        ("/meetstream/token/%FF", {}, None, False),
        ("/meetstream/token", {"token": "tok"}, None, True),
        ("/meetstream/token", {"key": "rotated"}, None, True),
        ("/meetstream/token", {"access_token": "tok"}, None, True),
        ("/meetstream/token", {"secret": "tok"}, None, False),
        ("/meetstream/token", {"token": ""}, None, False),
        ("/meetstream/token", {"token": "\udcff"}, None, False),
        ("/meetstream/token", {}, "Bearer tok", True),
        ("/meetstream/token", {}, "bearer  tok ", True),
        ("/meetstream/token", {}, "Basic tok", True),  # as a vendor may pass on what it was given
        ("/meetstream/token", {}, "Basic dG9r", True),  # tok
        ("/meetstream/token", {}, "basic ZGFpbHk6dG9r", True),  # daily:tok
        ("/meetstream/token", {}, "Basic dG9rOmRhaWx5", False),  # tok:daily
        ("/meetstream/token", {}, "Basic ZGFpbHk6", False),  # daily: and no password
        ("/meetstream/token", {}, "Basic /w==", False),
        ("/meetstream/token", {}, "Basic", False),
        ("/meetstream/token", {}, "Digest tok", False),
        ("/meetstream/token", {}, "tok", False),
        ("/meetstream/signed", {"token": "tok"}, None, False),
        ("/meetstream/default", {}, None, True),
        ("/meetstream/default", {"token": "whatever"}, None, True),
    ],
)
def test_who_is_authorized(path: str, query: dict[str, str], authorization: str | None, authorized: bool) -> None:
    """A token of the endpoint, in path, query or header; on an endpoint without credentials everybody is."""
    assert ask(path, query, authorization).authorized is authorized


@pytest.mark.parametrize(
    ("path", "signature_shown", "refused"),
    [
        ("/meetstream/default", False, False),
        ("/meetstream/token/tok", False, False),
        ("/meetstream/token", False, True),
        ("/meetstream/token", True, True),  # no secret to check it with
        ("/meetstream/signed", False, True),
        ("/meetstream/signed", True, False),
    ],
)
def test_who_is_refused_before_the_body(path: str, signature_shown: bool, refused: bool) -> None:
    """Who shows neither a token nor a signature worth checking is told so, and learns nothing else."""
    target = ask(path)
    if not refused:
        GUARD.require(target, signature_shown)
        return
    with pytest.raises(Unauthorized) as refusal:
        GUARD.require(target, signature_shown)
    assert "rotated" not in str(refusal.value)
