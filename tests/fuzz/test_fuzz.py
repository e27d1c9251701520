"""The bounded share of the fuzzing: every seed, every file of the corpus, and the same mutants of them in each run."""

import time
from collections.abc import Iterator

import pytest

from tests.fuzz import http
from tests.fuzz.mutate import MOST_BYTES, TOKENS, mutants
from tests.fuzz.targets import CORPUS, TARGETS, seeds

#: inputs of each target, about a second's worth; a run with another seed is what ``python -m tests.fuzz`` is for
COUNTS = {
    "body": 6000, "text": 4000, "frame": 3000, "socket": 10_000, "snapshot": 12_000, "frames": 10_000,
    "bundle": 10_000, "row": 30_000, "vendors": 2000, "replies": 2000,
    "verify": 10_000, "guard": 20_000, "config": 2000, "redaction": 800, "times": 50_000, "command": 50_000,
    "filename": 10_000, "http": 2500,
    "webhook": 10_000, "names": 5000, "templates": 10_000, "segment": 400, "state": 150,
}  # fmt: skip
SEED = 20261121
#: no input takes long, on however busy a machine; a pattern that runs away takes minutes
LONGEST_S = 5.0


@pytest.fixture(scope="module", autouse=True)
def ingress_is_closed() -> Iterator[None]:
    yield
    http.close()


@pytest.mark.parametrize("target", TARGETS)
def test_promises_hold_for_every_seed(target: str) -> None:
    """Samples of vendors, and inputs that once broke something."""
    for data in seeds(target):
        TARGETS[target](data)


@pytest.mark.parametrize("target", TARGETS)
def test_promises_hold_for_mutants(target: str) -> None:
    """Whatever bytes come: only our own errors escape, and what is promised of the rest is kept."""
    for data in mutants(seeds(target), COUNTS[target], SEED):
        began_s = time.process_time()
        try:
            TARGETS[target](data)
        except Exception as error:
            error.add_note(f"target {target}, input {data!r}")
            raise
        assert time.process_time() - began_s < LONGEST_S, data


def test_mutants_are_the_same_in_each_run() -> None:
    """A failure can be had again; nothing grows beyond what a target is made for."""
    some = list(mutants([b"one", b"two"], 500, SEED))
    assert some == list(mutants([b"one", b"two"], 500, SEED)) and len(set(some)) > 250
    assert max(map(len, some)) <= MOST_BYTES and any(token in data for data in some for token in TOKENS[:4])


def test_corpus_belongs_to_targets_and_is_small() -> None:
    """A folder for each target that has finds; under 300 kB in all."""
    assert {path.name for path in CORPUS.iterdir()} <= set(TARGETS)
    assert sum(path.stat().st_size for path in CORPUS.rglob("*")) < 300_000
