"""Live sound over HTTP and WebSocket. The arithmetic is in ``receiver.audio``; here are the journal and the sockets."""
