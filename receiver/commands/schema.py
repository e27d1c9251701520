"""``receiver schema``: prints the contract of the events as a document for machines. Makes none of it itself."""

import argparse
import os
import sys

import msgspec

from receiver.schema import asyncapi, json_schema

_DOCUMENTS = {"jsonschema": json_schema, "asyncapi": asyncapi}
_EPILOG = """\
examples:
  receiver schema > events.schema.json
        JSON Schema (draft 2020-12) of every event: to validate, to generate types in any language
  receiver schema --format asyncapi > asyncapi.json
        AsyncAPI 3.0: the same, with the ways on which events leave (files, Kafka, webhooks)

exit status: 0
"""


def register(subparsers: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    """Add the command's parser."""
    parser = subparsers.add_parser(
        "schema",
        help="print the JSON Schema or AsyncAPI document of the events",
        description="Print the contract of the events, made from the types that the receiver itself uses.",
        epilog=_EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--format", choices=list(_DOCUMENTS), default="jsonschema", help="default: %(default)s")
    parser.set_defaults(run=run)


def run(args: argparse.Namespace) -> int:
    """Print the document. Returns the exit status."""
    document = msgspec.json.format(msgspec.json.encode(_DOCUMENTS[args.format]()), indent=2).decode()
    try:
        print(document)
        sys.stdout.flush()
    except BrokenPipeError:
        # Whoever read the output has seen enough; the interpreter must not fail at flushing the rest.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    return 0
