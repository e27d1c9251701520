"""Tests read like the vendors' specifications; each docstring is the rule that the test proves."""

import sys

if "pytest" in sys.modules:  # programs that tests start import this, too, and have no use for what follows
    from hypothesis import HealthCheck, settings

    # how long an example takes is no property of the code: a busy machine stands still for more than the usual 200 ms
    settings.register_profile("unhurried", deadline=None, suppress_health_check=[HealthCheck.too_slow])
    settings.load_profile("unhurried")
