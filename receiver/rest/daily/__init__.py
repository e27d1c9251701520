"""Daily's REST API (docs.daily.co, REST reference, 2026): ``calls`` has its routes, ``api`` what all clients share."""

from receiver.rest.daily.answers import EVENTS
from receiver.rest.daily.api import DailyApi
from receiver.rest.daily.options import RoomOptions, Transcription

__all__ = ["EVENTS", "DailyApi", "RoomOptions", "Transcription"]
