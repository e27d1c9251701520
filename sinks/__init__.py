"""The registry of built-in sinks. A new one is one module and one line here, or an entry point of another package.

Importing this package imports no sink: the module of a type is loaded when a config names it.
"""

#: type name -> ``module:class``
SINKS: tuple[tuple[str, str], ...] = (
    ("stdout", "sinks.stdout:StdoutSink"),
    ("file", "sinks.file:FileSink"),
    ("wav", "sinks.wav:WavSink"),
    ("kafka", "sinks.kafka:KafkaSink"),
    ("http", "sinks.http:HttpSink"),
    ("relay", "sinks.relay:RelaySink"),
)
ENTRY_POINT_GROUP = "meeting_receiver.sinks"
