"""The key that a stand-in signs its webhooks with, and the document that publishes its public half.

Source: RealtimeKit, webhooks (2026).
"""

import base64

from cryptography.hazmat.primitives.asymmetric.padding import PKCS1v15
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPrivateKey, generate_private_key
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat, load_pem_private_key

_BITS = 2048


class SigningKey:
    """RSASSA-PKCS1-v1_5 with SHA-256. ``pem``: a private key; empty: one is made when it is first wanted."""

    def __init__(self, pem: str = "") -> None:
        """Raises ``ValueError`` where ``pem`` is no RSA private key."""
        self._key = _private(pem) if pem else None

    def __repr__(self) -> str:
        return "SigningKey(…)"

    def prepare(self) -> None:
        """Make the key; takes a good part of a second."""
        self._key = self._key or generate_private_key(65_537, _BITS)

    def rotate(self, pem: str = "") -> None:
        """Sign with another key from now on, and publish that."""
        self._key = _private(pem) if pem else None
        self.prepare()

    @property
    def public_pem(self) -> str:
        """The published half."""
        return self._own.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo).decode()

    def sign(self, body: bytes) -> str:
        """Base64 of the signature of the raw ``body``."""
        return base64.b64encode(self._own.sign(body, PKCS1v15(), SHA256())).decode()

    @property
    def _own(self) -> RSAPrivateKey:
        self.prepare()
        assert self._key is not None  # noqa: S101 - just made
        return self._key


def _private(pem: str) -> RSAPrivateKey:
    key = load_pem_private_key(pem.replace("\\n", "\n").encode(), password=None)
    if not isinstance(key, RSAPrivateKey):
        raise ValueError("the key to sign with is no RSA private key")
    return key
