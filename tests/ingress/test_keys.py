"""Public keys that a vendor publishes: fetched once, kept, asked for again when one does not fit."""

import asyncio

import pytest
from hypothesis import given
from hypothesis import strategies as st

from receiver.errors import Overloaded
from receiver.ingress.keys import Keys, published

URL = "https://keys.example.org/webhooks.json"
ONE, TWO = (f"-----BEGIN PUBLIC KEY-----\nMIIB{letter * 20}==\n-----END PUBLIC KEY-----" for letter in "AB")


class Vendor:
    """What is published, how often it was asked for, and the clock."""

    def __init__(self, *keys: str) -> None:
        self.keys: tuple[str, ...] | None = keys
        self.asked = 0
        self.now_s = 1000.0

    async def fetch(self, url: str) -> bytes:
        assert url == URL
        self.asked += 1
        await asyncio.sleep(0)
        if self.keys is None:
            raise ConnectionError("cannot connect")
        return "\n".join(self.keys).encode()

    def keep(self) -> Keys:
        return Keys(self.fetch, lambda: self.now_s)


async def test_keys_are_fetched_once() -> None:
    """However many deliveries come at the same time."""
    vendor = Vendor(ONE, TWO)
    keys = vendor.keep()
    assert await asyncio.gather(*(keys.of(URL) for _ in range(20))) == [(ONE, TWO)] * 20
    assert vendor.asked == 1


async def test_without_a_key_there_is_no_answer_but_503() -> None:
    """RealtimeKit repeats only what was answered 5xx. The vendor is not asked for each delivery."""
    vendor = Vendor()
    vendor.keys = None
    keys = vendor.keep()
    for _ in range(10):
        with pytest.raises(Overloaded, match="public key cannot be had"):
            await keys.of(URL)
    assert vendor.asked == 1
    vendor.keys, vendor.now_s = (ONE,), vendor.now_s + 31
    assert await keys.of(URL) == (ONE,)


async def test_a_document_without_a_key_says_so() -> None:
    """A page of a proxy, for instance."""
    with pytest.raises(Overloaded, match="public key cannot be had"):
        await Vendor("<html>").keep().of(URL)


async def test_a_signature_that_does_not_fit_asks_again_but_seldom() -> None:
    """The vendor may have a new key. Forged deliveries do not make this server a burden to it."""
    vendor = Vendor(ONE)
    keys = vendor.keep()
    await keys.of(URL)
    vendor.keys, vendor.now_s = (ONE, TWO), vendor.now_s + 31
    assert await keys.newer(URL) == (TWO,)
    assert await keys.of(URL) == (ONE, TWO)
    assert [await keys.newer(URL) for _ in range(10)] == [()] * 10
    assert vendor.asked == 2


async def test_an_old_key_stays_in_force_until_another_comes() -> None:
    """After an hour it is asked for anew; that this fails changes nothing."""
    vendor = Vendor(ONE)
    keys = vendor.keep()
    await keys.of(URL)
    vendor.keys, vendor.now_s = None, vendor.now_s + 3700
    assert await asyncio.gather(*(keys.of(URL) for _ in range(10))) == [(ONE,)] * 10
    assert vendor.asked == 2
    vendor.keys, vendor.now_s = (TWO,), vendor.now_s + 31
    assert await asyncio.gather(*(keys.of(URL) for _ in range(3))) == [(TWO,), (ONE,), (ONE,)]
    assert await keys.of(URL) == (TWO,) and vendor.asked == 3


@pytest.mark.parametrize(
    "document",
    [
        ONE,
        ONE.replace("\n", "\\n"),
        '{"success": true, "data": {"publicKey": "' + ONE.replace("\n", "\\n") + '\\n"}, "message": ""}',
        '{"data": {"publicKey": "' + ONE.replace("\n", "\\\\n") + '"}}',
        ONE + "\n" + ONE,
    ],
)
def test_keys_are_found_in_any_document(document: str) -> None:
    """Sheet 1.3: JSON, with real line ends or with literal ones."""
    (found,) = published(document.encode())
    assert found == ONE


@given(st.binary())
def test_any_document_is_read(document: bytes) -> None:
    """Nothing is found in most."""
    assert published(document) == ()
