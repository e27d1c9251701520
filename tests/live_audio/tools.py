"""Programs of others that the tests of live audio read sound with."""

import shutil

import pytest

needs_ffmpeg = pytest.mark.skipif(
    shutil.which("ffmpeg") is None,
    reason="no ffmpeg on this machine: apt-get install ffmpeg, to have the sound read by it",
)
