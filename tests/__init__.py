"""Tests read like the vendors' specifications; each docstring is the rule that the test proves."""
