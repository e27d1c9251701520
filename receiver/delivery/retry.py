"""When to try again. A pure value: attempt number in, seconds out."""

import msgspec


class Backoff(msgspec.Struct, frozen=True):
    """Exponential from ``first_s`` to ``most_s``; ``jitter`` spreads each wait by that share of itself, downwards."""

    first_s: float = 0.1
    most_s: float = 30.0
    jitter: float = 0.5

    def wait_s(self, attempt: int, chance: float, asked_s: float | None = None) -> float:
        """Seconds before try number ``attempt`` + 1 (the first failure is attempt 1). ``chance`` in 0…1 is the jitter's
        dice; ``asked_s`` is what the far side asked for (Retry-After) and is never undercut."""
        wait_s = min(self.most_s, self.first_s * 2.0 ** min(attempt - 1, 40))
        wait_s -= wait_s * self.jitter * chance
        return wait_s if asked_s is None else max(wait_s, asked_s)
