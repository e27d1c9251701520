"""``receiver decode``: what a person sees of captured bodies and messages, and the exit statuses."""

import argparse
import hashlib
import hmac
import io
import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from receiver.cli import main
from receiver.commands import decode
from tests.vendors.meetstream_wire import BOT, READY, SAMPLES, frame

JOINING = {"event": "bot.joining", "bot_id": BOT, "bot_status": "Joining", "message": "m"}
SECRET = "whsec_c2VjcmV0"


def run(*arguments: str) -> int:
    """The exit status of ``receiver decode --vendor meetstream`` with these arguments."""
    parser = argparse.ArgumentParser()
    decode.register(parser.add_subparsers())
    args = parser.parse_args(["decode", "--vendor", "meetstream", *arguments])
    status: int = args.run(args)
    return status


def write(path: Path, content: bytes | str | dict[str, Any]) -> str:
    """The name of a new file with this content."""
    if isinstance(content, dict):
        content = json.dumps(content)
    path.write_bytes(content.encode() if isinstance(content, str) else content)
    return str(path)


def printed(capsys: pytest.CaptureFixture[str]) -> tuple[list[dict[str, Any]], list[str]]:
    """Events on standard output, lines on standard error."""
    out, err = capsys.readouterr()
    return [json.loads(line) for line in out.splitlines()], err.splitlines()


def signature(body: bytes, secret: str = SECRET) -> str:
    return "X-MeetStream-Signature: sha256=" + hmac.new(secret.encode(), body, hashlib.sha256).hexdigest()


def test_each_file_is_a_body(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Without ``--channel`` each file is one body; the sequence counts over the run, the endpoint is ``default``."""
    files = [write(tmp_path / "a.json", JOINING), write(tmp_path / "b", JOINING | {"event": "bot.done"})]
    assert run(*files) == 0
    events, errors = printed(capsys)
    assert [event["vendorevent"] for event in events] == ["bot.joining", "bot.done"]
    assert [event["sequence"] for event in events] == ["0" * 19 + "1", "0" * 19 + "2"]
    assert {event["source"] for event in events} == {"/meetstream/default"} and errors == []


def test_jsonl_is_a_sequence_of_bodies(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Each line is a body; blank lines are none; a repeated delivery is printed again, with the same id."""
    line = json.dumps(JOINING, ensure_ascii=False) + "\r\n"
    assert run(write(tmp_path / "bodies.jsonl", line + "\n" + line)) == 0
    events, _ = printed(capsys)
    assert len(events) == 2 and events[0]["id"] == events[1]["id"]


@pytest.mark.parametrize("name", ["audio__two_speakers", "video__start_pieces_ping_end", "control__unknown_object"])
def test_with_a_channel_the_files_are_messages(name: str, capsys: pytest.CaptureFixture[str]) -> None:
    """The messages of one socket in order; media has ``data_base64``; no ``stream.*`` is invented."""
    folder = SAMPLES / name
    channel = (folder / "channel.txt").read_text().strip() or "control"
    assert run("--channel", channel, *map(str, sorted(folder.glob("message*")))) == 0
    events, errors = printed(capsys)
    expected = json.loads((folder / "expected.json").read_text())
    kept = ("type", "subject", "vendorevent", "data", "data_base64", "firstsample", "speakername", "width")
    assert [[event.get(key) for key in kept] for event in events] == [
        [event.get(key) for key in kept] for event in expected
    ]
    assert errors == []


def test_lines_of_jsonl_are_text_messages(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """``.jsonl``, ``.json`` and ``.txt`` are text, all else is one binary message."""
    update = json.dumps({"transcript": "größer", "speakerName": "Ada"}, ensure_ascii=False)
    text = write(tmp_path / "update.txt", update)
    assert run("--channel", "transcript", write(tmp_path / "both.JSONL", f"{READY}\n{update}\n"), text) == 0
    events, _ = printed(capsys)
    assert [(event["subject"], event["data"]["text"]) for event in events] == [(BOT, "größer")] * 2


@pytest.mark.parametrize("length", range(len(frame(pcm=b""))))
def test_a_cut_frame_gives_what_came_before_and_one_line(
    length: int, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """A frame that is cut at any length inside its header: no event of it, one clear line, status 65."""
    files = [write(tmp_path / "whole.bin", frame()), write(tmp_path / "cut.bin", frame()[:length])]
    assert run("--channel", "audio", *files) == 65
    events, errors = printed(capsys)
    assert len(events) == 1 and len(errors) == 1 and "cut.bin: " in errors[0] and "byte " in errors[0]


@pytest.mark.parametrize(
    ("content", "place"),
    [
        (b"{", "byte 1"),
        (b'{"event":"bot.joining","bot_id":5}', "$.bot_id"),
        (b'{"event":"\xff"}', "byte 10"),
        (b"[" * 100_000, "$"),
        (b"", "byte 0"),
    ],
)
def test_malformed_input_names_the_place(
    content: bytes, place: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Events before it are printed, then one line on standard error with file, line and place; status 65."""
    name = write(tmp_path / "bodies.jsonl", json.dumps(JOINING).encode() + b"\n" + content)
    assert run(name) == (65 if content else 0)
    events, errors = printed(capsys)
    assert len(events) == 1
    if content:
        assert len(errors) == 1 and "bodies.jsonl line 2: " in errors[0] and errors[0].endswith(f"(at {place})")


def test_an_empty_body_is_malformed(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """A body without a byte is no JSON object."""
    assert run(write(tmp_path / "empty.json", b"")) == 65
    assert printed(capsys)[1][0].endswith("(at byte 0)")


def test_text_that_is_no_text_is_malformed(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """A text message has to be UTF-8."""
    assert run("--channel", "control", write(tmp_path / "a.txt", b"ab\xff")) == 65
    assert printed(capsys) == ([], [f"receiver decode: {tmp_path}/a.txt: a text message has to be UTF-8 (at byte 2)"])


@pytest.mark.parametrize("secrets", [[SECRET], ["other", SECRET], [SECRET, "other"]])
def test_a_signature_that_fits(secrets: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Any of the secrets may fit; the age is never checked."""
    body = json.dumps(JOINING).encode()
    options = [option for secret in secrets for option in ("--secret", secret)]
    old = "X-MeetStream-Timestamp: 2020-01-01T00:00:00Z"
    name = write(tmp_path / "a.json", body)
    assert run(*options, "--header", signature(body), "--header", old, name) == 0
    assert len(printed(capsys)[0]) == 1


@pytest.mark.parametrize("header", [signature(b"other"), "x-meetstream-signature: sha256=é"])
def test_a_bad_signature_gives_no_event(header: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """One line, status 77, nothing of any file, and neither secret nor digest in the text."""
    body = json.dumps(JOINING).encode()
    assert run("--secret", SECRET, "--header", header, write(tmp_path / "a.json", body)) == 77
    events, errors = printed(capsys)
    assert events == [] and len(errors) == 1 and "whsec" not in errors[0]
    assert signature(body).rpartition("=")[2][:8] not in errors[0]


def test_one_bad_signature_among_many_gives_no_event(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Signatures are checked before the first event is printed."""
    body = json.dumps(JOINING).encode()
    files = [write(tmp_path / "good.json", body), write(tmp_path / "bad.json", body + b" ")]
    assert run("--secret", SECRET, "--header", signature(body), *files) == 77
    assert printed(capsys)[0] == []


def test_the_same_header_twice_is_refused(tmp_path: Path) -> None:
    """Two signatures are none."""
    body = json.dumps(JOINING).encode()
    twice = ["--header", signature(body)] * 2
    assert run("--secret", SECRET, *twice, write(tmp_path / "a.json", body)) == 77


def test_unsigned_pushes_are_decoded_despite_a_secret(tmp_path: Path) -> None:
    """MeetStream signs only workspace endpoints."""
    assert run("--secret", SECRET, write(tmp_path / "a.json", JOINING)) == 0


@pytest.mark.parametrize("line_end", ["\n", "\\n"])
def test_a_secret_may_come_from_a_file(line_end: str, tmp_path: Path) -> None:
    """``@PATH``: real or literal line ends, blanks around it do not count."""
    body = json.dumps(JOINING).encode()
    secret = write(tmp_path / "secret.pem", f"-----BEGIN{line_end}abc{line_end}-----END\n")
    shown = signature(body, "-----BEGIN\nabc\n-----END")
    assert run("--secret", f"@{secret}", "--header", shown, write(tmp_path / "a.json", body)) == 0


@pytest.mark.parametrize(
    "wrong", [("--secret", ""), ("--secret", "@/nonexistent"), ("--header", "no colon"), ("--header", ": x")]
)
def test_wrong_options_are_usage_errors(wrong: tuple[str, str], capsys: pytest.CaptureFixture[str]) -> None:
    """argparse says what is wrong; status 2; a secret is not repeated."""
    with pytest.raises(SystemExit) as caught:
        run(*wrong, "file")
    assert caught.value.code == 2 and "Traceback" not in capsys.readouterr().err


def test_secrets_are_taken_out(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """It prints what a sink without ``secrets`` gets."""
    body = {"event": "new", "api_key": "k1", "url": "https://h.example/a?X-Amz-Signature=s1"}
    assert run(write(tmp_path / "a.json", body)) == 0
    assert printed(capsys)[0][0]["data"] == {"event": "new", "api_key": "[redacted]", "url": "[redacted]"}


@pytest.mark.parametrize("missing", ["none.json", "a\nb.json", "."])
def test_a_file_that_cannot_be_read(missing: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """One clear line and status 66, before anything is printed."""
    assert run(write(tmp_path / "a.json", JOINING), str(tmp_path / missing)) == 66
    events, errors = printed(capsys)
    assert events == [] and len(errors) == 1 and str(tmp_path) in errors[0]


def test_standard_input(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    """``-`` is one body from standard input."""
    monkeypatch.setattr("sys.stdin", io.TextIOWrapper(io.BytesIO(json.dumps(JOINING).encode())))
    assert run("-") == 0
    assert len(printed(capsys)[0]) == 1


def test_a_reader_that_has_seen_enough_ends_it_quietly(tmp_path: Path) -> None:
    """``receiver decode … | head -1``: no traceback, no complaint."""
    name = write(tmp_path / "bodies.jsonl", (json.dumps(JOINING) + "\n") * 5000)
    program = (
        "import argparse; from receiver.commands import decode; p = argparse.ArgumentParser();"
        f"decode.register(p.add_subparsers()); a = p.parse_args(['decode', '--vendor', 'meetstream', {name!r}]);"
        "raise SystemExit(a.run(a))"
    )
    reader, writer = os.pipe()
    os.close(reader)
    try:
        ended = subprocess.run([sys.executable, "-c", program], stdout=writer, stderr=subprocess.PIPE, timeout=60)
    finally:
        os.close(writer)
    assert (ended.returncode, ended.stderr) == (0, b"")


def test_an_answer_of_the_rest_api(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """``--call`` names what was asked, ``--subject`` about whom; links are taken out."""
    name = write(tmp_path / "a.json", {"audio_url": "https://h.example/a?X-Amz-Signature=s3cret"})
    assert run("--call", "get_audio", "--subject", BOT, name) == 0
    (event,), errors = printed(capsys)
    assert (event["type"], event["subject"], event["data"]["kind"]) == ("artifact.fetched", BOT, "audio")
    assert "s3cret" not in json.dumps(event) and errors == []


def test_answers_may_be_arrays_and_several(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Each file, and each line of a .jsonl, is an answer to the same call; numbered over the run."""
    segments = json.dumps([{"speaker": "Ada", "transcript": "Hi"}])
    files = [write(tmp_path / "a.json", segments), write(tmp_path / "b.jsonl", f"{segments}\n{segments}\n")]
    assert run("--call", "get_transcript", *files) == 0
    events, _ = printed(capsys)
    assert [event["data"]["segments"][0]["text"] for event in events] == ["Hi"] * 3
    assert [event["sequence"][-1] for event in events] == ["1", "2", "3"] and "subject" not in events[0]


def test_a_call_that_nobody_knows_is_passed_on(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """As it is."""
    assert run("--call", "get_weather", write(tmp_path / "a.json", {"sun": True})) == 0
    assert printed(capsys)[0][0]["data"] == {"kind": "detail", "body": {"sun": True}}


def test_a_malformed_answer_names_file_and_place(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Status 65, as for bodies."""
    assert run("--call", "get_audio", write(tmp_path / "a.json", {"audio_url": 5})) == 65
    events, errors = printed(capsys)
    assert events == [] and len(errors) == 1 and "a.json: " in errors[0] and errors[0].endswith("(at $.audio_url)")


def test_answers_are_not_signed(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """A secret is for what is pushed."""
    name = write(tmp_path / "a.json", {"audio_url": "u"})
    assert run("--call", "get_audio", "--secret", SECRET, "--header", signature(b"other"), name) == 0
    assert len(printed(capsys)[0]) == 1


@pytest.mark.parametrize("wrong", [("--call", ""), ("--call", "detail", "--channel", "audio")])
def test_a_call_is_named_and_is_no_channel(wrong: tuple[str, ...], capsys: pytest.CaptureFixture[str]) -> None:
    """argparse says what is wrong; status 2."""
    with pytest.raises(SystemExit) as caught:
        run(*wrong, "file")
    assert caught.value.code == 2 and "--call" in capsys.readouterr().err


# A scheme of signatures and names

HOOK = {"meeting_id": 124, "organization_id": 12}
FORM = ["--scheme", "signature_header=X-Hook-Digest", "--scheme", "prefix=v1=", "--scheme", "event_header=X-Hook-Key"]
NAMED = ["--header", "X-Hook-Key: meeting.created"]


def run_meemo(*arguments: str) -> int:
    """The same for Meemo, by the whole command line: problems of a config are told there."""
    return main(["decode", "--vendor", "meemo", *arguments])


def test_a_scheme_names_and_checks(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """``--scheme key=value``, as in an endpoint's table, or a TOML file of it."""
    body = json.dumps(HOOK).encode()
    file = write(tmp_path / "a.json", body)
    shown = ["--header", "X-Hook-Digest: v1=" + hmac.new(SECRET.encode(), body, hashlib.sha256).hexdigest()]
    table = write(
        tmp_path / "scheme.toml", 'signature_header = "X-Hook-Digest"\nprefix = "v1="\nevent_header = "X-Hook-Key"\n'
    )
    for scheme in (FORM, ["--scheme", table]):
        assert run_meemo(*scheme, *NAMED, *shown, "--secret", SECRET, file) == 0
        ((event,), errors) = printed(capsys)
        assert (event["type"], event["subject"], errors) == ("meeting.created", "124", [])
    assert run_meemo(*FORM, *NAMED, "--secret", SECRET, file) == decode.EXIT_BAD_SIGNATURE
    assert "x-hook-digest" in printed(capsys)[1][0]
    assert run_meemo(*NAMED, file) == 0
    assert printed(capsys)[0][0]["type"] == "vendor.event"


@pytest.mark.parametrize(
    ("vendor", "scheme", "word"),
    [
        ("meemo", "sign=x", "--scheme.sign: found an unknown key"),
        ("meemo", "encoding=hexa", "--scheme.encoding: found 'hexa'"),
        ("meemo", "event_header=", "--scheme.event_header: found ''"),
        ("daily", "prefix=", "--scheme: found a scheme for daily"),
    ],
)
def test_a_wrong_scheme_is_a_wrong_config(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], vendor: str, scheme: str, word: str
) -> None:
    """Exit status 78, and the same line as in a config."""
    assert main(["decode", "--vendor", vendor, "--scheme", scheme, write(tmp_path / "a", HOOK)]) == 78
    assert word in capsys.readouterr().err


@pytest.mark.parametrize("content", [None, "not = = toml", b"\xff"])
def test_a_scheme_that_cannot_be_read(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], content: str | bytes | None
) -> None:
    """The command line is wrong."""
    path = str(tmp_path / "gone") if content is None else write(tmp_path / "scheme.toml", content)
    with pytest.raises(SystemExit) as caught:
        run_meemo("--scheme", path, write(tmp_path / "a", HOOK))
    assert caught.value.code == 2 and "--scheme" in capsys.readouterr().err
