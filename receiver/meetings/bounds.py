"""How much of a meeting is kept in memory. What goes beyond is counted and is still in the journal."""

#: of a transcript; then its oldest turns go. A day of talk is less
MOST_TURNS = 20_000
MOST_CHARACTERS = 10_000_000
#: what a turn takes beside its texts
TURN_CHARACTERS = 400
#: connections of participants; later ones are counted and not kept
MOST_CONNECTIONS = 2_000
#: joins and leaves of one connection; then its oldest go
MOST_CHANGES = 64
#: then the oldest that are closed go
MOST_STREAMS = 200
MOST_ARTIFACTS = 100
#: larger custom attributes are left out
MOST_ATTRIBUTES_BYTES = 16 << 10
MOST_ID_CHARACTERS = 1_024
MOST_NAME_CHARACTERS = 256
MOST_REMARK_CHARACTERS = 1_000


def clipped(text: str | None, most: int = MOST_NAME_CHARACTERS) -> str | None:
    """``text``, at most so many characters of it."""
    return text if text is None or len(text) <= most else text[: most - 1] + "…"
