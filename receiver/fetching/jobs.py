"""What a plan is made of. Pure."""

from urllib.parse import quote, unquote

import msgspec

#: kinds beside the vendors' own
OWN_RECORD = "own record"
DELIVERY_LOG = "delivery log"


class Times(msgspec.Struct, frozen=True, kw_only=True):
    """Seconds. ``after_end_s``: what is not announced by then is asked for. ``quiet_s``: without an event a meeting may
    have ended. ``again_s``: between the two comparisons after an end. ``log_s``: between two looks into a delivery log.
    """

    after_end_s: float = 20.0
    quiet_s: float = 900.0
    again_s: float = 900.0
    log_s: float = 900.0


class Job(msgspec.Struct, eq=False, kw_only=True):
    """One thing to ask for. ``seq``: the number of the event that wants it; 0: no event does. ``due_s``, ``give_up_s``:
    not before, not after. ``again``: the number of an event that wants it once more, which came while it was asked for.
    ``late``: the second of two comparisons."""

    subject: str
    kind: str
    seq: int
    due_s: float
    give_up_s: float
    session: str = ""
    artifact: str = ""
    tries: int = 0
    again: int = 0
    late: bool = False
    running: bool = False
    over: bool = False

    @property
    def label(self) -> str:
        """What tells the jobs of a subject apart."""
        return f"{self.kind};{quote(self.session, safe='')};{quote(self.artifact, safe='')}"

    @property
    def done(self) -> str:
        """What its last answer says in the journal; see :func:`read_done`."""
        return f"{self.label};{self.subject}"


class Watch(msgspec.Struct, eq=False):
    """What events told of a subject, times in seconds since the epoch. ``asked``: kinds, of this occurrence."""

    session: str = ""
    since_s: float | None = None
    until_s: float | None = None
    ended: bool = False
    checks: int = 0
    asked: set[str] = msgspec.field(default_factory=set)


class Done(msgspec.Struct, frozen=True):
    """A ``Job.done``, read again."""

    kind: str
    session: str
    label: str
    subject: str


def read_done(text: str) -> Done | None:
    """``None`` where it is of another form than any job's."""
    kind, *rest = text.split(";", 3)
    if len(rest) != 3:
        return None
    return Done(kind, unquote(rest[0]), text.removesuffix(f";{rest[2]}"), rest[2])
