"""The ``scheme`` table of an endpoint: a vendor's own keys, and every mistake in one line."""

from typing import Any

import pytest

from receiver.errors import ConfigError
from receiver.settings import from_dict
from receiver.vendors import every_vendor, meemo
from receiver.vendors.base import scheme_of

SECTION = "endpoints.meemo.main.scheme"


def with_scheme(scheme: Any, vendor: str = "meemo") -> dict[str, Any]:
    return {"endpoints": {vendor: {"main": {"scheme": scheme}}}}


def problems(raw: dict[str, Any]) -> tuple[str, ...]:
    with pytest.raises(ConfigError) as caught:
        from_dict(raw, {})
    return caught.value.problems


def test_a_table_is_a_scheme() -> None:
    """What it does not name has its default."""
    (endpoint,) = from_dict(with_scheme({"signature_header": "Meemo-Signature", "prefix": ""}), {}).endpoints
    assert endpoint.scheme == meemo.Scheme(signature_header="Meemo-Signature", prefix="")


@pytest.mark.parametrize("raw", [with_scheme({}), {"endpoints": {"meemo": {"main": {}}}}, {}])
def test_without_a_table_there_is_none(raw: dict[str, Any]) -> None:
    """The vendor's own way holds."""
    assert from_dict(raw, {}).endpoints[0].scheme is None


@pytest.mark.parametrize(
    ("scheme", "line"),
    [
        ({"signature": "X"}, f"{SECTION}.signature: found an unknown key, allowed signature_header, prefix, "),
        ({"encoding": "HEX"}, f"{SECTION}.encoding: found 'HEX', allowed \"hex\" or \"base64\""),
        ({"key": 5}, f"{SECTION}.key: found 5, allowed \"text\", \"after_whsec\" or \"base64\""),
        ({"prefix": 1}, f"{SECTION}.prefix: found 1, allowed text"),
        ({"signature_header": ""}, f"{SECTION}.signature_header: found '', allowed the name of a header"),
        ({"event_header": "X Event"}, f"{SECTION}.event_header: found 'X Event', allowed the name of a header"),
        ({"uuid_header": "É"}, f"{SECTION}.uuid_header: found 'É', allowed the name of a header"),
        ({"signature_header": "Authorization"}, f"{SECTION}.signature_header: found 'Authorization', allowed a header"),
        ({"event_header": "cookie"}, f"{SECTION}.event_header: found 'cookie', allowed a header that holds no"),
        ({"uuid_header": "x-prosa-event"}, f"{SECTION}.uuid_header: found 'x-prosa-event', allowed a header of its"),
        ("hex", f"{SECTION}: found 'hex', allowed a table"),
    ],
)  # fmt: skip
def test_a_mistake_is_one_line(scheme: Any, line: str) -> None:
    """Names of headers are names, open no door, and are not used twice."""
    (found,) = problems(with_scheme(scheme))
    assert found.startswith(line)


def test_a_secret_in_its_place_is_not_shown() -> None:
    """``key`` says what of the secret is the key; it is not the secret."""
    (found,) = problems(with_scheme({"key": "whsec_MDEyMzQ1Njc4OTAxMjM0NTY3ODkw"}))
    assert found.startswith(f"{SECTION}.key: found ") and "MDEy" not in found


@pytest.mark.parametrize("vendor", [one.NAME for one in every_vendor() if scheme_of(one) is None])
def test_other_vendors_have_none(vendor: str) -> None:
    """Their documents say how they sign: a table would be a mistake that nobody notices."""
    (found,) = problems(with_scheme({"prefix": ""}, vendor))
    assert found == (
        f"endpoints.{vendor}.main.scheme: found a scheme for {vendor}, whose deliveries have one form, allowed none;"
        " vendors with a scheme: meemo"
    )


def test_an_unknown_vendor_is_told_elsewhere() -> None:
    """With all vendors that there are."""
    assert from_dict(with_scheme({"prefix": ""}, "zoom"), {}).endpoints[0].scheme is None
