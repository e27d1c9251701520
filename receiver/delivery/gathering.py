"""How long a sink that keeps up waits before it reads again: each write costs as much as many events do."""

#: what comes in shorter intervals is written together. The shorter one where little comes, to a sink that takes it at
#: once; the longer one where the last write took a twentieth of that, or brought two hundred events
_LEAST_S, MOST_GATHER_S = 0.002, 0.01
_TIMES, _EVENT_S = 20, 50e-6


def gather_s(took_s: float, events: int) -> float:
    """From one reading to the next, in seconds, where the last one brought so many and writing them took so long."""
    return min(max(_LEAST_S, _TIMES * took_s, _EVENT_S * events), MOST_GATHER_S)
