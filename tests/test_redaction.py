"""What is taken for a secret, what is not, and that taking it out breaks nothing."""

import base64
import json
import time
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from receiver.redaction import MAX_DEPTH, REDACTED, is_secret_key, redact, redact_fields, redact_json, redact_text

CANARY = "cAnArY7h3lph1s1s5ecret"

SIGNED_URLS = {
    "S3, version 4": f"https://b.s3.amazonaws.com/a.mp4?X-Amz-Algorithm=AWS4-HMAC-SHA256&X-Amz-Signature={CANARY}",
    "S3, version 2": f"https://b.s3.amazonaws.com/a.mp4?AWSAccessKeyId=AK&Expires=1790000000&Signature={CANARY}",
    "Google": f"https://storage.googleapis.com/b/a.mp4?GoogleAccessId=a%40b.iam&Expires=1790000000&Signature={CANARY}",
    "Google, version 4": f"https://storage.googleapis.com/b/a.mp4?X-Goog-Credential=x&X-Goog-Signature={CANARY}",
    "Azure": f"https://a.blob.core.windows.net/c/a.mp4?sv=2024-08-04&se=2026-11-21T10%3A00%3A00Z&sr=b&sig={CANARY}",
    "CloudFront": f"https://d1.cloudfront.net/a.m3u8?Expires=1790000000&Signature={CANARY}&Key-Pair-Id=K1",
    "CloudFront, policy": f"https://d1.cloudfront.net/a.m3u8?Policy={CANARY}&Key-Pair-Id=K1",
    "Akamai": f"https://x.akamaized.net/a.m3u8?hdnts=exp=1790000000~hmac={CANARY}",
    "Daily": f"https://api.daily.co/recordings/1/download?share_token={CANARY}",
    "Zoom": f"https://us02web.zoom.us/s/8123?zak={CANARY}",
    "Zoom, password": f"https://us02web.zoom.us/j/8123?pwd={CANARY}.1",
    "user and password": f"https://user:{CANARY}@example.com/a.mp4",
    "token as user": f"https://{CANARY}@example.com/a.mp4",
    "token of a socket": f"wss://example.com/in?bot=1&token={CANARY}",
    "fragment": f"https://example.com/#access_token={CANARY}&token_type=Bearer",
    "nested and percent-encoded": f"https://example.com/go?to=https%3A%2F%2Fother.example%2Fa%3Ftoken%3D{CANARY}",
    "escaped as in JSON": f"https:\\/\\/example.com\\/a?x=1\\u0026token={CANARY}",
    "capital letters": f"HTTPS://EXAMPLE.COM/A?TOKEN={CANARY}",
}
CREDENTIALS = {
    "bearer": f"Bearer {CANARY}",
    "bearer in a sentence": f"the header was 'authorization: bearer {CANARY}', refused",
    "any scheme behind authorization": f"Authorization: Token {CANARY}",
    "basic": "Basic " + base64.b64encode(f"me:{CANARY}".encode()).decode(),
    "JWT": f"eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiIxIn0.{CANARY}",
    "API key": f"sk-{CANARY}",
    "API key with a project": f"key sk-proj-{CANARY}",
    "webhook secret": f"whsec_{CANARY}=",
    "personal token": f"pt_{CANARY}",
    "key file": f"-----BEGIN RSA PRIVATE KEY-----\n{CANARY}\n-----END RSA PRIVATE KEY-----\n",
    "JSON in a text": json.dumps({"user": {"apiKey": CANARY}}),
    "JSON in JSON in a text": json.dumps({"body": json.dumps({"token": f'a"{CANARY}'})}),
}


@pytest.mark.parametrize(
    "key",
    ["streamKey", "stream_key", "STREAM_KEY", "x-api-key", "apiKey", "APIKey", "api_keys", "AWSSecretKey",
     "secretAccessKey",
     "accessToken", "access_token", "accesstoken", "refreshToken", "download_token", "plainToken", "X-Amz-Signature",
     "X-Amz-Security-Token", "X-Amz-Credential", "Authorization", "Proxy-Authorization", "Cookie", "set-cookie",
     "password",
     "recording_play_passcode", "client_secret", "clientSecret", "x-mb-secret", "secret_key", "host_key", "hmac",
     "basicAuth", "zak", "pin", "user.pin", "audioDownloadUrl", "download_url", "recording_url", "download_link",
     "ingestServer", "zak_url", "start_url", "Stream Key", "privateKey"],
)  # fmt: skip
def test_these_names_hold_secrets(key: str) -> None:
    """The last word of a name decides, in camel case, snake case, header style, or all in one."""
    assert is_secret_key(key)


@pytest.mark.parametrize(
    "key",
    ["speaker_token_count", "tokens", "token_count", "max_tokens", "token_type", "keyboard", "key", "keys",
     "idempotency_key",
     "s3_key", "s3key", "sort_key", "Sec-WebSocket-Key", "pinned", "shopping", "spin", "opinion", "compass", "bypass",
     "author", "authored_by", "signature_valid", "secretary", "passenger", "password_required", "cookie_policy",
     "session",
     "id", "name", "text", "url", "meeting_url", "websocket_url", "downloadUrlExpiry", "restart_url", "event", ""],
)  # fmt: skip
def test_these_names_hold_none(key: str) -> None:
    """Counts, ids and words that only contain such a word stay."""
    assert not is_secret_key(key)


@pytest.mark.parametrize("url", SIGNED_URLS.values(), ids=SIGNED_URLS)
def test_url_with_its_own_permission_is_taken_out(url: str) -> None:
    """A signed URL goes whole, wherever in a text it stands; the text around it stays."""
    assert redact_text(url) == REDACTED
    assert redact_text(f"see {url} (an hour)") == f"see {REDACTED} (an hour)"


@pytest.mark.parametrize(
    "url",
    ["https://meet.google.com/abc-defg-hij", "https://zoom.us/j/81234567890", "https://example.com/a?x=1&lang=en#part",
     "https://example.com/a?keyword=b&monkey=1", "https://example.com/@someone", "wss://example.com:8443/in/audio",
     "https://example.com/sign?in=1", "mail ada@example.com, or http://example.com"],
)  # fmt: skip
def test_plain_url_stays(url: str) -> None:
    """A URL that opens nothing by itself is no secret."""
    assert redact_text(url) == url


@pytest.mark.parametrize("text", CREDENTIALS.values(), ids=CREDENTIALS)
def test_credential_is_known_by_its_form(text: str) -> None:
    """Credentials are found under any key and in the midst of a text."""
    assert CANARY not in redact_text(text)
    assert CANARY not in json.dumps(redact({"note": ["x", text]}))
    assert base64.b64encode(CANARY.encode()).decode()[:12] not in redact_text(text)


@pytest.mark.parametrize(
    "text",
    ["the bearer of bad news", "a basic understanding of it", "Basic English", "sk-learn, a skeleton", "he said eyJ",
     "authorization was given", "my token of thanks", "[inaudible] yes", "pt_br and wai_ting", "24/7: and/or"],
)  # fmt: skip
def test_speech_stays(text: str) -> None:
    """What people say about secrets is none."""
    assert redact_text(text) is text


@pytest.mark.parametrize("value", ["abc", 1234, 12.5, ["abc"], {"a": "abc"}])
def test_secret_key_hides_any_value(value: Any) -> None:
    """Under such a key, numbers, lists and objects are secrets too."""
    assert redact({"a": [{"streamKey": value, "b": 1}]}) == {"a": [{"streamKey": REDACTED, "b": 1}]}


@pytest.mark.parametrize("value", [None, "", [], {}, True, False])
def test_secret_key_without_value_says_so(value: Any) -> None:
    """Whether there is a secret may be told: empty values and yes or no stay."""
    assert redact({"password": value}) == {"password": value}


def test_value_without_secrets_is_the_same_object() -> None:
    """Nothing is copied where nothing is taken out, and nothing is changed in place where something is."""
    clean = {"a": [1, {"b": "c", "d": None}], "tokens": 7}
    assert redact(clean) is clean
    dirty = {"a": [1, {"pin": 1}]}
    assert redact(dirty) == {"a": [1, {"pin": REDACTED}]}
    assert dirty == {"a": [1, {"pin": 1}]}


def test_url_as_a_key_is_taken_out() -> None:
    """A key is text as well."""
    assert redact({SIGNED_URLS["Azure"]: 1, "b": 2}) == {REDACTED: 1, "b": 2}


def test_depth_has_an_end() -> None:
    """What is too deep to be looked into is redacted whole; the deepest that is looked into is not."""
    value: Any = "x"
    for _ in range(MAX_DEPTH):
        value = [value]
    assert redact(value) is value
    assert redact([value]) == REDACTED
    for _ in range(100_000):
        value = {"a": value}
    assert redact(value) == REDACTED


def test_json_text_without_secrets_is_untouched() -> None:
    """Byte for byte: spaces, order, escapes and doubled keys as the vendor sent them."""
    text = '{ "b" : 1.0,"a":"\\u00e9\\/",\r\n "a":[ ] }'
    assert redact_json(text) is text


@pytest.mark.parametrize("depth", [MAX_DEPTH, 1_000, 10_000, 100_000])
def test_json_that_is_too_deep_stays_json(depth: int) -> None:
    """It is kept, without its secrets, and is well-formed as before."""
    dirty = [f'"stream_key":"{CANARY}"', f'"pin":{1234567}', f'"url":"{SIGNED_URLS["Azure"]}"',
             f'"token": {{"a":["]\\"{CANARY}",{{}}],"b":1}}', f'"cookies":["{CANARY}"]',
             f'"api_key":"a\\"{CANARY}\\\\"', f'"n":"see Bearer {CANARY}"', '"z":null', '"secret":null']  # fmt: skip
    deep = "[" * depth + "]" * depth
    kept = redact_json(f'{{"deep":{deep},{",".join(dirty)}}}')
    assert CANARY not in kept
    assert "1234567" not in kept
    assert deep in kept
    shallow = json.loads(kept.replace(deep, "[]"))
    assert shallow == {
        "deep": [], "stream_key": REDACTED, "pin": REDACTED, "url": REDACTED, "token": REDACTED, "cookies": REDACTED,
        "api_key": REDACTED, "n": f"see {REDACTED}", "z": None, "secret": None,
    }  # fmt: skip


@pytest.mark.parametrize(
    "text",
    [f'{{"stream_key": "{CANARY}', f'{{"a": 1, "token": "{CANARY}"', f"a=1&token={CANARY}&b=2", f"token={CANARY}",
     f"{{'token': '{CANARY}'}}", f'{{"secret": {{"a": "{CANARY}', f'not json: {{\\"token\\": \\"{CANARY}\\"}}',
     f"GET {SIGNED_URLS['Azure']} HTTP/1.1\r\nauthorization: Token {CANARY}\r\n", f'"pin" :{CANARY}'],
)  # fmt: skip
def test_text_that_is_no_json_is_searched_for_fields(text: str) -> None:
    """Torn JSON, forms and other texts lose their secrets as well."""
    assert CANARY not in redact_json(text)
    assert redact_fields("a=1&b=2") == "a=1&b=2"


@pytest.mark.parametrize(
    "unit",
    ["a.", "sk-", "eyJ-", "eyJaaaaaaaa.", "\\", '\\"', '"', "://", "a://", "Basic ", "bearer ", "authorization: ",
     "token=",
     '"token":', '"token":{', '"token":\\"', "-----BEGIN PRIVATE KEY-----", "?token", "https://a?a", "whsec_", "=",
     "[", " "],
)  # fmt: skip
def test_hostile_text_takes_linear_time(unit: str) -> None:
    """No text from a stranger stalls the loop: 300 kB of the worst repetitions take a fraction of a second."""
    text = unit * (300_000 // len(unit))
    begin = time.process_time()
    redact_json(text)
    redact_json("https://x " + text + " whsec_")
    redact_json('{"a":"' + text)
    assert time.process_time() - begin < 5


JSON_VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(), inner, max_size=4),
    max_leaves=12,
)
#: ways to hide the canary in a JSON value
PLANTS = st.sampled_from(
    [{"stream_key": CANARY}, {"accessToken": {"v": [CANARY]}}, SIGNED_URLS["S3, version 4"], SIGNED_URLS["Daily"],
     {"url": SIGNED_URLS["user and password"]}, {SIGNED_URLS["Azure"]: 1}, f"Bearer {CANARY}", {"x": [f"sk-{CANARY}"]},
     json.dumps({"token": CANARY})],
)  # fmt: skip


@st.composite
def planted(draw: st.DrawFn) -> Any:
    """A JSON value with the canary somewhere in it."""
    value = draw(PLANTS)
    for _ in range(draw(st.integers(0, 4))):
        around = draw(JSON_VALUES)
        value = [around, value] if draw(st.booleans()) else {draw(st.text()): around, "and": value}
    return value


@settings(max_examples=150, deadline=None)
@given(planted())
def test_no_planted_secret_survives(value: Any) -> None:
    """Wherever a secret stands, neither the value nor its text form keeps it, whether or not the text is whole."""
    text = json.dumps(value)
    assert CANARY not in json.dumps(redact(value))
    clean = redact_json(text)
    assert CANARY not in clean
    json.loads(clean)


@settings(max_examples=150, deadline=None)
@given(JSON_VALUES, st.integers(0, 200))
def test_redaction_never_fails(value: Any, cut: int) -> None:
    """Any JSON, whole or torn, any text: an answer, and JSON stays JSON."""
    text = json.dumps(value)
    json.loads(redact_json(text))
    redact_json(text[:cut])
    redact_fields(json.dumps(text)[:cut])
    assert redact(redact(value)) == redact(value)
