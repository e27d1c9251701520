"""One process takes over from another: the port is never closed, no delivery is refused, each is journalled once.

The new process reads the config and says that it is ready (``successor``, ``predecessor``). The old one stops to
accept, tells its sockets to dial again, closes the journal and says so; the new one opens it and accepts what waited
in the system's queue. What the old one's connections still deliver goes through the new one's journal, until they end.
"""
