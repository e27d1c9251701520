"""Delivery: one worker a sink, each a cursor into the journal. A dead sink harms nobody and misses nothing."""
