"""Signing: the specification's check values, the forms of a secret, ids that stay the same."""

import base64
import hashlib
import hmac

import pytest

from sinks.standard_webhooks import message_id, parse_secrets, sign, webhook_headers

SECRET = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"
ID = "msg_p5jXN8AQM9LWM0D4loKWxJek"
BODY = b'{"test": 2432232314}'
SIGNATURE = "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE="


def test_published_check_values() -> None:
    """The values that every library's test-suite has."""
    (key,) = parse_secrets(SECRET)
    assert sign(key, ID, 1614265330, BODY) == SIGNATURE
    assert sign(key, ID, 1614265330, memoryview(BODY)) == SIGNATURE
    assert webhook_headers([key], ID, 1614265330, BODY) == {
        "webhook-id": ID,
        "webhook-timestamp": "1614265330",
        "webhook-signature": SIGNATURE,
    }


def test_body_is_signed_as_bytes() -> None:
    """A body that is no text is signed like any other."""
    body = bytes(range(256))
    key = b"k" * 32
    want = hmac.new(key, b"msg_1.5." + body, hashlib.sha256).digest()
    assert sign(key, "msg_1", 5, body) == "v1," + base64.b64encode(want).decode()


def test_forms_of_a_secret() -> None:
    """With or without prefix, with or without padding, a line break at the end of a file; several sign together."""
    key = b"0123456789abcdef0123456789"
    plain = base64.b64encode(key).decode()
    for text in (plain, f"whsec_{plain}", plain.rstrip("="), f" whsec_{plain}\n"):
        assert parse_secrets(text) == [key]
    both = parse_secrets(f"whsec_{plain} {SECRET}")
    signed = webhook_headers(both, ID, 1614265330, BODY)["webhook-signature"]
    assert signed.split(" ") == [sign(key, ID, 1614265330, BODY), SIGNATURE]


def test_without_a_key_there_is_no_signature() -> None:
    """An unsigned request still tells its id and time: the id is what a receiver merges repeats by."""
    assert webhook_headers([], ID, 1, b"") == {"webhook-id": ID, "webhook-timestamp": "1"}


@pytest.mark.parametrize(
    "text", ["", "  ", "whsec_", "whsec_====", "whsec_hush!hush", "whsec_hüsh", "whsk_aHVzaA==", "aHVza"]
)
def test_no_secret(text: str) -> None:
    """What is no secret is refused at the start, and the text of the error does not quote it."""
    with pytest.raises(ValueError, match=r"^(nothing|an empty key|text that is no base64|an asymmetric key)$"):
        parse_secrets(text)


def test_ids_are_stable_and_distinct() -> None:
    """The same parts give the same id; parts that only join to the same text do not."""
    assert message_id(["/a", "1"]) == message_id(["/a", "1"])
    others: tuple[list[str], ...] = (["/a", "1"], ["/a1", ""], ["/a", "1", "/a", "2"], [], [""], ["\udcff"], ["ä"])
    ids = {message_id(parts) for parts in others}
    assert len(ids) == 7
    assert all(one.startswith("msg_") and one.isascii() and one[4:].isalnum() for one in ids)
