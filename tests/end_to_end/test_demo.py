"""``receiver demo`` as a newcomer meets it: what it prints, the files that it leaves, and how it ends."""

import json
import os
import re
import signal
import subprocess
import time
import wave
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from receiver.demo import Line, Report, SinkRow
from receiver.simulator import STAND_INS, speech
from tests.end_to_end.process import PATIENCE_S, RECEIVER
from tests.support import events_in

SPEECH = speech.load()


def words(text: str) -> str:
    """``text`` without letter case and punctuation: a line may be shown before or after formatting."""
    return " ".join(re.findall(r"[^\W_]+", text.replace("'", "").lower()))


def run_demo(*arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run([*RECEIVER, "demo", *arguments], capture_output=True, text=True, timeout=1.8 * PATIENCE_S)


@contextmanager
def demo_running(data: Path, *arguments: str) -> Iterator[subprocess.Popen[str]]:
    """A demo whose output can be read while it runs; gone at the end."""
    command = [*RECEIVER, "demo", "--data", str(data), *arguments]
    environ = {**os.environ, "PYTHONUNBUFFERED": "1"}
    pipe = subprocess.PIPE
    with subprocess.Popen(command, stdout=pipe, stderr=pipe, text=True, env=environ) as process:
        try:
            yield process
        finally:
            process.kill()


@pytest.fixture(scope="module")
def played(tmp_path_factory: pytest.TempPathFactory) -> tuple[subprocess.CompletedProcess[str], Path]:
    """A demo at full speed, and where its files are."""
    data = tmp_path_factory.mktemp("demo") / "data"
    return run_demo("--speed", "0", "--data", str(data), "--seed", "1"), data


Played = tuple[subprocess.CompletedProcess[str], Path]


def test_it_prints_the_transcript_and_balances(played: Played) -> None:
    """Each line of the meeting is printed with its speaker, the table balances, the status is 0."""
    done, _ = played
    assert done.returncode == 0, done.stderr
    shown = [words(line) for line in done.stdout.splitlines()]
    for utterance in SPEECH.utterances:
        said = {words(f"{name}: {utterance.text}") for name in SPEECH.names[utterance.role]}
        assert any(line.endswith(tuple(said)) for line in shown), utterance.text
    assert "balanced: nothing was lost" in done.stdout and "WRONG" not in done.stdout
    assert "Traceback" not in done.stderr


def test_the_table_names_every_sink_and_where_the_files_are(played: Played) -> None:
    """A row for each sink with nothing dead or pending; each path that is printed exists."""
    done, data = played
    rows = {line.split()[0]: line.split() for line in done.stdout.splitlines() if line.startswith("  ") and line[2:]}
    for sink in ("stdout", "file", "wav", "kafka", "http"):
        delivered, _, dead, pending = (int(cell.replace(",", "")) for cell in rows[sink][1:5])
        assert delivered > 0 and (dead, pending) == (0, 0), sink
    named = [Path(line.strip()) for line in done.stdout.partition("files:")[2].splitlines() if line.strip()]
    assert set(named) >= {data / "events", data / "audio"} and all(path.exists() for path in named)


def test_the_wav_plays_and_lasts_as_long_as_the_meeting(played: Played) -> None:
    """Duration within 50 ms; the sound is the meeting's own, sample by sample."""
    _, data = played
    (path,) = (data / "audio").glob("*.wav")
    with wave.open(str(path)) as file:
        assert (file.getnchannels(), file.getsampwidth(), file.getframerate()) == (1, 2, 48_000)
        duration_s = file.getnframes() / file.getframerate()
        sound = file.readframes(file.getnframes())
    assert abs(duration_s - SPEECH.duration_s) <= 0.05
    assert sound == SPEECH.pcm[: len(sound)]


def test_the_rttm_beside_it_tells_who_spoke_when(played: Played) -> None:
    """One speaker for each voice; each utterance is covered by a turn of one of them, to a tenth of a second."""
    _, data = played
    (path,) = (data / "audio").glob("*.rttm")
    turns = [line.split() for line in path.read_text().splitlines()]
    assert {(turn[0], turn[1]) for turn in turns} == {("SPEAKER", path.stem)}
    assert len({turn[7] for turn in turns}) == len(SPEECH.names)
    spans = [(float(turn[3]), float(turn[3]) + float(turn[4])) for turn in turns]
    for utterance in SPEECH.utterances:
        assert any(start - 0.1 <= utterance.start_s and utterance.end_s <= end + 0.1 for start, end in spans), (
            utterance.text
        )


def test_it_refuses_a_folder_that_is_not_empty(played: Played) -> None:
    """What is there is never mixed with another run: one line, status 2, nothing touched."""
    _, data = played
    before = sorted(data.rglob("*"))
    again = run_demo("--speed", "0", "--data", str(data))
    assert again.returncode == 2 and again.stdout == ""
    assert len(again.stderr.splitlines()) == 1 and str(data) in again.stderr
    assert sorted(data.rglob("*")) == before


def test_ctrl_c_in_the_middle_ends_it_cleanly(tmp_path: Path) -> None:
    """Status 130 and a sentence that says how far it came; no traceback; the sound up to there plays."""
    data = tmp_path / "data"
    with demo_running(data, "--speed", "4") as process:
        assert process.stdout is not None
        for line in process.stdout:
            if words(SPEECH.utterances[0].text) in words(line):
                break
        process.send_signal(signal.SIGINT)
        _, errors = process.communicate(timeout=PATIENCE_S)
    assert process.returncode == 130, errors
    assert "ended by Ctrl-C" in errors.splitlines()[-1] and "Traceback" not in errors
    (path,) = (data / "audio").glob("*.wav")
    with wave.open(str(path)) as file:
        assert file.getnframes() > 0


def test_a_far_side_that_does_not_agree_is_said_and_fails(tmp_path: Path) -> None:
    """A line in the file sink's folder that the sink did not write: the table says WRONG, the status is 1."""
    data = tmp_path / "data"
    with demo_running(data, "--speed", "16") as process:
        deadline_s = time.monotonic() + PATIENCE_S
        while not (data / "events").is_dir() and time.monotonic() < deadline_s:
            time.sleep(0.01)
        (data / "events" / "stranger.jsonl").write_text(json.dumps({"id": "a stranger's"}) + "\n")
        shown, errors = process.communicate(timeout=PATIENCE_S)
    assert process.returncode == 1, errors
    assert "NOT balanced" in shown
    assert [line.split()[0] for line in shown.splitlines() if "WRONG" in line] == ["file"]


@pytest.mark.parametrize(
    ("row", "holds"),
    [
        (SinkRow(name="a", delivered=3, filtered=1, dead=0, pending=0, found=Line("ids", 3, 3)), True),
        (SinkRow(name="a", delivered=3, filtered=1, dead=0, pending=0, found=None), True),
        (SinkRow(name="a", delivered=3, filtered=1, dead=0, pending=0, found=Line("ids", 2, 3)), False),
        (SinkRow(name="a", delivered=3, filtered=1, dead=1, pending=0, found=Line("ids", 3, 3)), False),
        (SinkRow(name="a", delivered=3, filtered=1, dead=0, pending=1, found=Line("ids", 3, 3)), False),
    ],
)
def test_a_sink_balances_only_with_everything_at_its_far_side(row: SinkRow, holds: bool) -> None:
    """Nothing pending, nothing dead, nothing missing where it can be counted."""
    assert Report(lines=[], sinks=[row], files=[], took_s=0.0).balanced is holds


def test_one_line_that_does_not_hold_unbalances_the_report() -> None:
    """A count without an expectation proves nothing and breaks nothing."""
    good, told, bad = Line("received", 2, 2), Line("sent", 2), Line("received", 1, 2)
    assert Report(lines=[good, told], sinks=[], files=[], took_s=0.0).balanced
    assert not Report(lines=[good, told, bad], sinks=[], files=[], took_s=0.0).balanced


def blocks_of(text: str) -> dict[str, dict[str, int]]:
    """The counts of each vendor's block."""
    found: dict[str, dict[str, int]] = {}
    for part in text.split("\n\n"):
        name, *lines = part.strip("\n").splitlines() or [""]
        if name in STAND_INS:
            rows = (re.match(r"  (.+?)  +([\d,]+)", line) for line in lines)
            found[name] = {row[1]: int(row[2].replace(",", "")) for row in rows if row}
    return found


def test_all_vendors_balance_with_what_is_fetched(tmp_path: Path) -> None:
    """A block for each vendor: all that was pushed was taken, and what was announced was fetched and journalled."""
    done = run_demo("--vendor", "all", "--speed", "0", "--data", str(tmp_path / "data"), "--seed", "1")
    assert done.returncode == 0, done.stdout + done.stderr
    assert "balanced: nothing was lost" in done.stdout and "Traceback" not in done.stderr
    blocks = blocks_of(done.stdout)
    assert set(blocks) == set(STAND_INS)
    for vendor, rows in blocks.items():
        assert rows["sent: webhooks"] >= 2 and rows["answers journalled"] >= 2, vendor
        assert rows["REST calls"] >= rows["answers journalled"], vendor
    assert blocks["meetstream"]["sent: messages and frames on sockets"] > 1500
    assert blocks["realtimekit"]["sent: messages and frames on sockets"] > 1500
    events = events_in(tmp_path / "data")
    told = {(event["source"].split("/")[1], event["type"]) for event in events}
    assert {vendor for vendor, type_ in told if type_ == "artifact.fetched"} == set(STAND_INS)
    assert {"meetstream", "realtimekit"} <= {vendor for vendor, type_ in told if type_ == "transcript.final"}


def test_several_meetings_of_some_vendors(tmp_path: Path) -> None:
    """--vendor takes a list; each of the meetings is created, pushed and fetched."""
    done = run_demo(
        "--vendor", "meemo,daily", "--meetings", "3", "--speed", "100", "--data", str(tmp_path / "data"), "--seed", "1"
    )
    assert done.returncode == 0, done.stdout + done.stderr
    blocks = blocks_of(done.stdout)
    assert list(blocks) == ["meemo", "daily"]
    assert (blocks["meemo"]["sent: webhooks"], blocks["daily"]["sent: webhooks"]) == (9, 45)


def test_ctrl_c_in_the_middle_of_vendors_meetings(tmp_path: Path) -> None:
    """Status 130, one sentence, no traceback: stand-ins, server and calls under way end together."""
    with demo_running(tmp_path / "data", "--vendor", "realtimekit,daily") as process:
        assert process.stderr is not None
        for line in process.stderr:
            if "meeting.participantJoined" in line:
                break
        process.send_signal(signal.SIGINT)
        _, errors = process.communicate(timeout=PATIENCE_S)
    assert process.returncode == 130, errors
    assert "ended by Ctrl-C" in errors.splitlines()[-1] and "Traceback" not in errors


def test_an_unknown_vendor_is_refused_with_those_that_there_are() -> None:
    """Status 2; the line names what was found and what is allowed."""
    done = run_demo("--vendor", "daily,zoom")
    assert done.returncode == 2
    assert f"found zoom, allowed all, or some of {','.join(STAND_INS)}" in done.stderr


def test_a_block_that_does_not_hold_unbalances_the_report() -> None:
    """The lines of vendors count as the others do."""
    good, bad = Line("answered 2xx", 2, 2), Line("answered 2xx", 1, 2)
    assert Report(lines=[], sinks=[], files=[], took_s=0.0, blocks={"daily": [good]}).balanced
    assert not Report(lines=[], sinks=[], files=[], took_s=0.0, blocks={"daily": [good], "meemo": [bad]}).balanced
