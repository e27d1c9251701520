"""What deliveries are answered with, as bytes: the same on every way through the house."""

import orjson

#: by what became of a delivery
ACCEPTED = {fate: b'{"status":"%s"}\n' % fate.encode() for fate in ("accepted", "duplicate", "quarantined")}
#: seconds, of every answer that asks to come again
RETRY_AFTER_S = "5"


def sentence(text: str) -> bytes:
    """An error in one sentence, as JSON."""
    text = text.encode(errors="replace").decode()  # what a stranger sent may be quoted in it
    return orjson.dumps({"error": text}, option=orjson.OPT_APPEND_NEWLINE)
