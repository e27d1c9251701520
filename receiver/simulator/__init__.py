"""Plays vendors: meetings with speech, callbacks and sockets, in the vendor's wire format, at any receiver.

Written from the vendor's documents alone. It shares no code with the decoders, so that it can be used to test them:
nothing below this folder imports ``receiver.vendors``, ``receiver.record`` or ``receiver.events``.
"""

from receiver.simulator.channels import Channels
from receiver.simulator.cloud import CLOUD_FAULTS, CloudTally
from receiver.simulator.clouds import STAND_INS
from receiver.simulator.faults import FAULTS
from receiver.simulator.meetstream import play
from receiver.simulator.tally import Counts, Delivery, MeetingTally, Tally, Turn

__all__ = [
    "CLOUD_FAULTS", "FAULTS", "STAND_INS", "Channels", "CloudTally", "Counts", "Delivery", "MeetingTally", "Tally",
    "Turn", "play",
]  # fmt: skip
