"""Ingress: the one port. Who may deliver, what is made of it, and the sockets. Answers only for what is on disk."""
