"""A stand-in for Daily: its REST API, rooms in which short meetings are held, and the webhooks of a domain.

``call`` is who is there and what is made of it, ``bodies`` the 28 events, ``hooks`` registrations and signatures,
``cloud`` the meetings, ``rest`` the routes. Source: docs.daily.co, REST reference and webhook events, 2026.
"""

from receiver.simulator.daily.bodies import EVENTS
from receiver.simulator.daily.cloud import DailyCloud, play_meetings

__all__ = ["EVENTS", "DailyCloud", "play_meetings"]
