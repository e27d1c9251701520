"""Fuzzing: arbitrary bytes into everything that reads bytes of strangers, and promises that must hold for all of them.

``python -m tests.fuzz`` is the long form, by hand; ``test_fuzz.py`` the bounded share of the suite. ``decoders``,
``edges`` and ``http`` hold the targets, plain functions ``check(data: bytes) -> None``; ``promises`` what holds for any
event; ``seeds`` where inputs start from; ``mutate`` a small mutator for where atheris is not installed.
"""
