"""The journal: what was received, safe on disk before it is answered, and read by cursors. Knows no vendor."""
