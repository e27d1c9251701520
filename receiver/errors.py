"""The errors that cross module borders, and what each of them is answered with.

::

    ReceiverError
    ├── ConfigError            the configuration is wrong; nothing starts
    ├── Refused                the client may not, or asks for what is not there
    │   ├── Unauthorized       no token, a wrong token, a missing signature
    │   │   └── BadSignature   a signature is there and does not fit
    │   │       └── StaleSignature  it fits, but its time is not now: a replay, or one of the two clocks is wrong
    │   ├── TooManyAttempts    the same, once too often from this address
    │   ├── Forbidden          a good credential, which does not open this
    │   ├── NotFound           no such endpoint
    │   └── TooLarge           a body or message beyond the limit
    ├── Malformed              bytes that mean nothing: ``where`` is a field path or a byte offset
    │   ├── FrameTruncated     a length points past the end of the frame
    │   └── FrameInvalid       a frame of an unknown kind
    ├── Overloaded             others fill the memory or the places that there are: come back later
    ├── VendorError            a vendor's REST API did not do what it was asked for; ``words`` are the vendor's own
    │   ├── VendorUnreachable  no answer, or a passing trouble that outlasted every try
    │   ├── VendorNotFound     the vendor knows no such thing, or not yet
    │   ├── VendorPending      it will be there, and is not yet
    │   └── VendorCannot       this vendor offers no such call; nothing was sent
    └── JournalUnavailable     the journal cannot take bytes now: come back later
        ├── DiskFull           the same, for want of space: then less is taken
        └── Shed               what space is left is kept for what weighs more

A leaf exists only where a caller treats it differently. ``status`` is the HTTP answer, ``close_code`` the WebSocket
close code, ``retryable`` says whether the same bytes may succeed later. Texts name field paths, byte offsets and
limits; never a payload, a token or an expected signature.
"""


class ReceiverError(Exception):
    """Base of every error that this package raises on purpose."""

    status = 500
    close_code = 1011
    retryable = False


class ConfigError(ReceiverError):
    """The configuration is wrong. ``problems`` has one line for each, ``section.key: found …, allowed …``."""

    def __init__(self, *problems: str) -> None:
        super().__init__("\n".join(problems))
        self.problems = problems


class Refused(ReceiverError):
    """The client is told no, in one sentence."""

    status = 400
    close_code = 1008


class Unauthorized(Refused):
    """No credential was shown, or a wrong one."""

    status = 401


class BadSignature(Unauthorized):
    """A signature was shown and does not fit the body, the secret or the time."""


class StaleSignature(BadSignature):
    """A signature fits, and bears another time than now. Perhaps it is this machine's clock that is wrong."""


class TooManyAttempts(Refused):
    """No valid credential was shown, and this address has tried too often."""

    status = 429
    retryable = True


class Forbidden(Refused):
    """Who asks is known, and may not have this."""

    status = 403


class NotFound(Refused):
    """Nothing is served at this path."""

    status = 404


class TooLarge(Refused):
    """The body or message is larger than the configured limit."""

    status = 413
    close_code = 1009


class Malformed(ReceiverError):
    """Bytes that cannot be understood. ``where`` is a field path such as ``$.bot_id`` or ``byte 17``."""

    status = 400
    close_code = 1007

    def __init__(self, message: str, where: str = "") -> None:
        super().__init__(f"{message} (at {where})" if where else message)
        self.where = where


class FrameTruncated(Malformed):
    """A binary frame ends before a length in it says so; ``offset`` is in bytes."""

    def __init__(self, message: str, offset: int) -> None:
        super().__init__(message, f"byte {offset}")
        self.offset = offset


class FrameInvalid(Malformed):
    """A binary frame of a kind that the vendor does not define; ``offset`` is in bytes."""

    def __init__(self, message: str, offset: int) -> None:
        super().__init__(message, f"byte {offset}")
        self.offset = offset


class Overloaded(ReceiverError):
    """The memory for bodies that are under way is full now, or every place for a reader is taken."""

    status = 503
    close_code = 1013
    retryable = True


class JournalUnavailable(ReceiverError):
    """The journal cannot make bytes safe now (disk full, I/O error, shutting down)."""

    status = 503
    close_code = 1013
    retryable = True


class DiskFull(JournalUnavailable):
    """A commit failed for want of space."""


class Shed(JournalUnavailable):
    """The disk is nearly full, and what is left is kept for deliveries that weigh more."""


class VendorError(ReceiverError):
    """A vendor's REST API said no. ``vendor_status``: its HTTP status, 0 where there was no answer; ``words``: its own
    words, without secrets."""

    status = 502

    def __init__(self, message: str, *, vendor_status: int = 0, words: str = "") -> None:
        super().__init__(f"{message}: {words}" if words else message)
        self.vendor_status = vendor_status
        self.words = words


class VendorUnreachable(VendorError):
    """No answer, a 5xx or 429 that outlasted every try."""

    status = 503
    retryable = True


class VendorNotFound(VendorError):
    """404: no such thing, or not yet. Vendors seldom tell the two apart."""

    status = 404
    retryable = True


class VendorPending(VendorError):
    """What was asked for is being made. ``retry_after_s``: how long the vendor says to wait; 0: it does not say."""

    status = 503
    retryable = True

    def __init__(self, message: str, *, vendor_status: int = 202, words: str = "", retry_after_s: float = 0.0) -> None:
        super().__init__(message, vendor_status=vendor_status, words=words)
        self.retry_after_s = retry_after_s


class VendorCannot(VendorError):
    """This vendor offers no such call."""

    status = 400
