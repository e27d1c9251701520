"""Meemo's service on loopback: its external API, the meetings that are made over it, the webhooks that tell of them.

What a delivery looks like is in no document (fact sheet, section 3): the stand-in takes a sister product's form, and
any other by a ``Scheme``.
"""

from receiver.simulator.meemo.cloud import MeemoCloud, play_meetings
from receiver.simulator.meemo.store import Scheme

__all__ = ["MeemoCloud", "Scheme", "play_meetings"]
