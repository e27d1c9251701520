"""What is known of each meeting: status, who is there, what was said, what was lost. Folds over events, kept in memory.

The journal has it all: the tracker folds at the start what the keeper's file does not tell yet.
"""
