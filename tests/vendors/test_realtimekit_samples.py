"""What holds for all samples of RealtimeKit's pushes, beside what holds for those of every vendor."""

import json

from tests.vendors.samples import expected_of, folders_of


def test_no_sample_shows_a_link_or_a_key_without_secrets() -> None:
    """What a sink without ``secrets`` gets has no link that needs no password, no ingest server and no stream key."""
    for folder in folders_of("realtimekit"):
        plain = json.dumps(expected_of(folder))
        for secret in ("https://", "rtmps://", "3f1f3a9c0d7b"):
            assert secret not in plain, folder.name
