"""How much of the event loop live readers may take while deliveries come in. Pure."""

#: of the time that passes
SHARE = 0.125
#: what may be taken at once, so that a few readers never wait
_MOST_S = 0.002
#: the longest rest, whatever was taken
_MOST_REST_S = 0.5


class Allowance:
    """Fills up with the time that passes, and is spent by turns."""

    def __init__(self, now_s: float) -> None:
        self._left_s = _MOST_S
        self._seen_s = now_s

    def spend(self, spent_s: float, now_s: float) -> float:
        """Note that ``spent_s`` were taken until ``now_s``; how long to rest until it is made good."""
        self._left_s = min(_MOST_S, self._left_s + (now_s - self._seen_s) * SHARE) - spent_s
        self._seen_s = now_s
        rest_s = max(0.0, -self._left_s / SHARE)
        if rest_s > _MOST_REST_S:
            self._left_s, rest_s = -_MOST_REST_S * SHARE, _MOST_REST_S
        return rest_s
