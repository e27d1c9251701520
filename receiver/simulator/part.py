"""What belongs to one bot's part in a simulation: passed to everything that acts for it. No I/O."""

from collections.abc import Callable
from dataclasses import dataclass

from receiver.simulator.channels import Channels
from receiver.simulator.line import Pace
from receiver.simulator.script import Meeting, Message, raw_text
from receiver.simulator.speech import Speech
from receiver.simulator.tally import MeetingTally, Turn

#: bot id, speaker, text, seconds on the meeting's clock
OnSpoken = Callable[[str, str, str, float], None]
#: bot id, what happened
OnProgress = Callable[[str, str], None]


@dataclass(frozen=True, slots=True)
class Options:
    """The choices that ``play`` was given, the same for all bots."""

    faults: frozenset[str]
    audio: bool
    video: bool
    control: bool
    deletion: bool
    secret: str
    on_spoken: OnSpoken
    on_progress: OnProgress


@dataclass(frozen=True, slots=True)
class Part:
    """One bot: its meeting, where it sends, how fast, and where it counts."""

    meeting: Meeting
    speech: Speech
    urls: Channels
    pace: Pace
    tally: MeetingTally
    options: Options

    @property
    def channels(self) -> list[str]:
        """The sockets that this bot has."""
        wanted = {
            "audio": self.options.audio,
            "video": self.options.video,
            "control": self.options.control,
            "transcript": self.tally.transport == "websocket",
        }
        return [channel for channel, is_wanted in wanted.items() if is_wanted]

    def tell(self, message: Message) -> None:
        """Report a message that was sent to those who watch; garbage is nobody's news."""
        if message.garbage:
            return
        if message.lane in ("callback", "participant"):
            self.options.on_progress(self.meeting.bot_id, message.name)
        if message.commits is not None:
            speaker, text = self.meeting.people[message.commits.role].name, message.commits.text
            self.tally.turns.append(Turn(speaker, text, raw_text(text), message.at_s))
            self.options.on_spoken(self.meeting.bot_id, speaker, text, message.at_s)

    def count_garbage(self, message: Message) -> None:
        """Count an injected message by its kind."""
        if message.nature is not None:
            self.tally.whole.garbage[message.garbage] += 1
            self.tally.whole.natures[message.garbage] = message.nature
