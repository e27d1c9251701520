"""The helper's own process, which delivers what sinks have missed: see ``receiver.delivery.helper``."""
