"""What is read from the server while things happen: events, sound, and who may. Everything else stays out of its way."""
