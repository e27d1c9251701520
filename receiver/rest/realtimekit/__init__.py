"""Cloudflare RealtimeKit's REST API, and Dyte's, which it was: meetings, sessions, recordings, webhooks.

``requests`` has what is sent, with its bounds; ``answers`` what comes back; ``access`` the account and the pages;
``meetings``, ``sessions``, ``recordings`` and ``webhooks`` the calls; ``api`` what commands and fetching want. ``sfu``
is another API, with a secret of its own: it starts the adapters that send a track's media to a socket.
"""

from receiver.rest.realtimekit.api import RealtimeKitApi
from receiver.rest.realtimekit.requests import MeetingOptions
from receiver.rest.realtimekit.sfu import SfuApi

__all__ = ["MeetingOptions", "RealtimeKitApi", "SfuApi"]
