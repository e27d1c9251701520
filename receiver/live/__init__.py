"""What is read while it happens: events, sound and meetings, and who may. Knows nothing of how deliveries come in."""
