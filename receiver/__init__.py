"""Meeting Receiver: the endpoint for meeting bots and meeting platforms."""

__version__ = "0.1.0"
