"""``receiver decode`` as a process: what a person, or a script, sees of captured bodies and frames."""

import hashlib
import hmac
import json
import re
import struct
import subprocess
from pathlib import Path
from typing import Any

import pytest

from receiver.cli import main
from tests.end_to_end.process import PATIENCE_S, RECEIVER

SPEAKER_ID, SPEAKER_NAME = b"spaces/AbC/devices/100", "Zoë Müller-Lüdenscheidt".encode()
HEADER = struct.pack("<BH", 1, len(SPEAKER_ID)) + SPEAKER_ID + struct.pack("<H", len(SPEAKER_NAME)) + SPEAKER_NAME
FRAME = HEADER + bytes(range(200)) * 2
BOT = "0b3c1f5e-7c41-4a0e-9a55-2f1d8f6b7a10"
SECRET = "whsec_c2VjcmV0"
ID_END = 3 + len(SPEAKER_ID)


def decode(*arguments: str) -> subprocess.CompletedProcess[str]:
    command = [*RECEIVER, "decode", "--vendor", "meetstream", *arguments]
    return subprocess.run(command, capture_output=True, text=True, timeout=PATIENCE_S)


def callback(name: str) -> bytes:
    body = {"event": name, "bot_event": name, "bot_id": BOT, "bot_status": "x", "message": "m", "status_code": 200}
    return json.dumps(body | {"timestamp": "2026-06-11T09:30:00.125Z"}).encode()


def signature(body: bytes) -> str:
    return "X-MeetStream-Signature: sha256=" + hmac.new(SECRET.encode(), body, hashlib.sha256).hexdigest()


def check_refusal(status: int, out: str, err: str) -> None:
    """No event, one line that names the byte, 65."""
    assert (status, out) == (65, "")
    assert re.fullmatch(r"[^\n]*\bbyte \d+\b[^\n]*\n", err), err


@pytest.mark.parametrize("length", [0, 1, 2, 3, ID_END - 1, ID_END, ID_END + 1, len(HEADER) - 1])
def test_a_frame_cut_in_its_header_is_one_line(tmp_path: Path, length: int) -> None:
    """Seen from outside: nothing on standard output, one line on standard error, status 65, never a traceback."""
    path = tmp_path / "frame.bin"
    path.write_bytes(FRAME[:length])
    done = decode("--channel", "audio", str(path))
    check_refusal(done.returncode, done.stdout, done.stderr)


def test_a_frame_cut_at_any_length_of_its_header(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Each length, in this process; from the header's last byte on, the frame means an event."""
    path = tmp_path / "frame.bin"
    arguments = ["decode", "--vendor", "meetstream", "--channel", "audio", str(path)]
    for length in range(len(HEADER)):
        path.write_bytes(FRAME[:length])
        status = main(arguments)
        check_refusal(status, *capsys.readouterr())
    for length in (len(HEADER), len(HEADER) + 1, len(FRAME)):
        path.write_bytes(FRAME[:length])
        assert main(arguments) == 0
        event = json.loads(capsys.readouterr().out)
        assert (event["type"], event["samples"]) == ("audio.chunk", (length - len(HEADER)) // 2)
        assert event["speakername"] == SPEAKER_NAME.decode()


def test_events_before_a_cut_frame_are_printed(tmp_path: Path) -> None:
    """What came before the malformed message stays, and the line names the file and the byte."""
    (tmp_path / "1.bin").write_bytes(FRAME)
    (tmp_path / "2.bin").write_bytes(FRAME[: len(HEADER) - 2])
    done = decode("--channel", "audio", str(tmp_path / "1.bin"), str(tmp_path / "2.bin"))
    assert done.returncode == 65
    assert [json.loads(line)["type"] for line in done.stdout.splitlines()] == ["audio.chunk"]
    assert len(done.stderr.splitlines()) == 1 and "2.bin" in done.stderr and "byte" in done.stderr


def test_a_jsonl_of_bodies(tmp_path: Path) -> None:
    """A body a line, in order of arrival; a repeated delivery is printed again with the same id."""
    names = ["bot.joining", "bot.inmeeting", "bot.recording", "bot.recording"]
    (tmp_path / "bodies.jsonl").write_bytes(b"\n".join(map(callback, names)) + b"\n\n")
    done = decode(str(tmp_path / "bodies.jsonl"))
    events: list[dict[str, Any]] = [json.loads(line) for line in done.stdout.splitlines()]
    assert (done.returncode, done.stderr) == (0, "")
    assert [event["vendorevent"] for event in events] == names
    assert [int(event["sequence"]) for event in events] == [1, 2, 3, 4]
    assert events[2]["id"] == events[3]["id"] and len({event["id"] for event in events}) == 3


def test_a_malformed_line_of_a_jsonl_is_named(tmp_path: Path) -> None:
    """Line and byte or field of the first that cannot be understood; the events before it are printed."""
    (tmp_path / "bodies.jsonl").write_bytes(callback("bot.joining") + b'\n{"event": \n' + callback("bot.done"))
    done = decode(str(tmp_path / "bodies.jsonl"))
    assert done.returncode == 65 and len(done.stdout.splitlines()) == 1
    assert re.fullmatch(r"[^\n]*bodies\.jsonl line 2: [^\n]*byte \d+[^\n]*\n", done.stderr)


def test_a_good_signature_is_accepted(tmp_path: Path) -> None:
    """Any of the secrets may fit; the age of a captured body is no matter."""
    body = callback("bot.done")
    (tmp_path / "body.json").write_bytes(body)
    headers = ["--header", signature(body), "--header", "X-MeetStream-Timestamp: 2020-01-01T00:00:00+00:00"]
    done = decode(*headers, "--secret", "another", "--secret", SECRET, str(tmp_path / "body.json"))
    assert (done.returncode, done.stderr) == (0, "")
    assert json.loads(done.stdout)["data"]["status"] == "done"


@pytest.mark.parametrize("forged", ["X-MeetStream-Signature: sha256=" + "0" * 64, signature(callback("bot.joining"))])
def test_a_bad_signature_prints_no_event(tmp_path: Path, forged: str) -> None:
    """Status 77 and one line, which tells neither the secret nor the signature that would fit."""
    body = callback("bot.done")
    (tmp_path / "body.json").write_bytes(body)
    done = decode("--header", forged, "--secret", SECRET, str(tmp_path / "body.json"))
    assert (done.returncode, done.stdout) == (77, "")
    assert len(done.stderr.splitlines()) == 1
    assert SECRET not in done.stderr and signature(body).partition("=")[2] not in done.stderr
