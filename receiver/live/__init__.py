"""What people and programs read while a meeting runs: events, sound, meetings. May import all but ``receiver.ingress``."""
