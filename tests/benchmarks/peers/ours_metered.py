"""Our own server with further types of sinks, which note when each event is at their far side. Takes the arguments of
``receiver``."""

import sinks
from receiver import cli, plugins

#: no plug-ins: those have threads of their own, and what is measured is what our own sinks meet
_TYPES = (
    ("meter", "tests.benchmarks.meter:MeterSink"),
    ("metered_file", "tests.benchmarks.metered_file:MeteredFileSink"),
    ("metered_kafka", "tests.benchmarks.metered_kafka:MeteredKafkaSink"),
)

if __name__ == "__main__":
    plugins.SINKS = (*sinks.SINKS, *_TYPES)  # type: ignore[attr-defined]
    raise SystemExit(cli.main())
