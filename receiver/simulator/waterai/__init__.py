"""A stand-in for Water AI: its REST API, and the callbacks that follow a meeting.

Source: docs.waterr.ai, API reference, 2026.
"""

from receiver.simulator.waterai.cloud import EVENTS, WaterAiCloud, play_meetings
from receiver.simulator.waterai.held import FORMS

__all__ = ["EVENTS", "FORMS", "WaterAiCloud", "play_meetings"]
