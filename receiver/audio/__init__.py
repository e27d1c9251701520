"""Sound as arrays: decoding, the meeting's clock, resampling, mixing, encoding. Pure: no socket, file, clock or task.

Samples are int16 arrays of [frame, channel]. What reads and writes them is in ``receiver.live.audio`` and ``sinks``.
"""
