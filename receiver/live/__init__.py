"""What people and programs read while a meeting runs. May import everything but ``receiver.ingress`` and the wiring."""
