"""Plays RealtimeKit: the REST API that meetings are made with, and everything that it pushes or that is dialled at it.

Written from the vendor's documents alone. ``cloud`` is the service; ``play`` pushes meetings at one endpoint.
"""

from receiver.simulator.realtimekit.adapters import Accidents
from receiver.simulator.realtimekit.cloud import RealtimeKitCloud
from receiver.simulator.realtimekit.play import play_meetings

__all__ = ["Accidents", "RealtimeKitCloud", "play_meetings"]
