"""What is known of each meeting: status, who is there, what was said, what was lost. Folds over events, kept in memory.

Nothing here is stored: the journal has it all, and the tracker folds it again at the start.
"""
