"""MeetStream's REST API: bots that go into meetings, and what they bring back.

``client`` has the calls, ``options`` what a bot can be created with, ``answers`` what comes back, ``wiring`` the URLs.
"""

from receiver.rest.meetstream.client import MeetStreamApi
from receiver.rest.meetstream.options import MeetStreamOptions

__all__ = ["MeetStreamApi", "MeetStreamOptions"]
