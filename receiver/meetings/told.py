"""What has come of a meeting, to be compared with its vendor's own record. A fold, pure.

Names only, and at most so many of them: what is beyond is found missing and told once more, marked ``reconciled``.
"""

from collections.abc import Iterable

import msgspec

from receiver.events import Artifact, BotStatus, Event, ParticipantChange
from receiver.meetings.bounds import MOST_CONNECTIONS, MOST_ID_CHARACTERS

#: of a meeting; far more than there are
_MOST_NAMES = 400
#: events that leave something to be remembered
TOLD_TYPES = frozenset({
    "bot.status", "recording.status", "meeting.created", "meeting.deleted", "meeting.started", "meeting.ended",
    "participant.joined", "participant.left", "artifact.ready", "artifact.failed", "artifact.skipped",
})  # fmt: skip


class Told(msgspec.Struct, eq=False, array_like=True):
    """``statuses``: of ``bot.status``, with the vendor's names of these events, of ``meeting.*`` and of
    ``recording.status``. ``joined``, ``left``: ids, user ids and names. ``artifacts``: ``kind/outcome``."""

    statuses: set[str] = set()
    joined: set[str] = set()
    left: set[str] = set()
    artifacts: set[str] = set()

    def fold(self, event: Event) -> None:
        """Take an event of the meeting, of ``TOLD_TYPES``."""
        data, type_ = event.data, event.type
        if isinstance(data, ParticipantChange):
            who = data.participant
            names = self.joined if type_ == "participant.joined" else self.left
            _note(names, (who.id, who.user_id, who.name), 3 * MOST_CONNECTIONS)
        elif isinstance(data, BotStatus):
            _note(self.statuses, (data.status, event.vendorevent))
        elif type_.startswith(("meeting.", "recording.")):
            _note(self.statuses, (type_, event.vendorevent))
        elif isinstance(data, Artifact):
            _note(self.artifacts, (f"{data.kind}/{type_.rpartition('.')[2]}",))


def _note(names: set[str], told: Iterable[str | None], most: int = _MOST_NAMES) -> None:
    if len(names) < most:
        names.update(one[:MOST_ID_CHARACTERS] for one in told if one)
