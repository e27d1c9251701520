"""How many bytes of a request are still to come, as far as its head says that in one way only."""

import re

#: a header line that has one meaning: no control character, and not continued (RFC 9112, section 5)
LINE = rb"(?:[A-Za-z0-9!#$%&'*+.^_`|~-]+:[\t -~\x80-\xff]*\r\n)"
_HEAD = re.compile(rb"(?:GET|HEAD|POST|PUT|DELETE|OPTIONS|PATCH) [!-~]+ HTTP/1\.1\r\n(" + LINE + rb"*)\r\n")
#: header lines that say how long a request is, or that something else than a request follows
_FRAMING = re.compile(
    rb"^(content-length|transfer-encoding|upgrade|expect|http2-settings):[ \t]*([^\r]*?)[ \t]*\r$", re.I | re.M
)
_DIGITS = re.compile(rb"[0-9]{1,15}")


def owed(data: bytes) -> int | None:
    """Of the request that ``data`` begins with. ``None`` where it is not plain, or where ``data`` goes beyond it."""
    head = _HEAD.match(data)
    if head is None:
        return None
    length = 0
    if fields := _FRAMING.findall(head[1]):
        (name, value), *others = fields
        if others or name.lower() != b"content-length" or not _DIGITS.fullmatch(value):
            return None
        length = int(value)
    left = length - (len(data) - head.end())
    return left if left >= 0 else None
