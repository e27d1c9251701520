"""The demonstration: the real server, real sinks with real far sides on loopback, simulated meetings, and the books.

``meetstream`` pushes bots' meetings without any REST call; ``vendors`` has several vendors' stand-ins at once, whose
meetings are created over their APIs. ``far_sides`` is what the sinks fill, ``books`` the comparison.
"""

from receiver.demo.books import Line, Report, SinkRow
from receiver.demo.meetstream import run_demo
from receiver.demo.vendors import run_vendors

__all__ = ["Line", "Report", "SinkRow", "run_demo", "run_vendors"]
