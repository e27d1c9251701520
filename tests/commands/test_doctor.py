"""``receiver doctor``: each thing it looks at, well and ill; it repairs nothing and leaves nothing behind."""

import asyncio
import json
import os
import shutil
import sqlite3
import subprocess
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import aiohttp
import pytest

from receiver.cli import main
from receiver.doctor import machine
from receiver.settings import from_dict
from receiver.vendors.meetstream import sign, verify
from tests.support import JOINING, drained, events_in, running

Doctor = Callable[..., tuple[int, dict[str, Any]]]
CONFIG = """
data_dir = "{data}"
[server]
port = 0
[journal]
min_free_bytes = 0
[endpoints.meetstream.default]
token = "auto"
secret_env = ["DOCTOR_SECRET"]
[sinks.file]
type = "file"
fsync = false
"""
SECTIONS = {"endpoints": {"meetstream": {"default": {"token": "auto", "secret_env": ["DOCTOR_SECRET"]}}}}
SECRET = {"DOCTOR_SECRET": "s3cret"}


@pytest.fixture
def doctor(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Doctor:
    """Run it with ``--json`` on ``tmp_path/data``; exit status, findings by what they are about."""
    monkeypatch.setenv("DOCTOR_SECRET", "s3cret")

    def run(more: str = "") -> tuple[int, dict[str, Any]]:
        config = tmp_path / "receiver.toml"
        config.write_text(CONFIG.format(data=tmp_path / "data") + more)
        status = main(["doctor", "--config", str(config), "--json", "--wait", "30"])
        report = json.loads(capsys.readouterr().out)
        assert report["ok"] == (status == 0)
        return status, {one["what"]: one for one in report["findings"]}

    return run


async def filled(data: Path, deliveries: int = 3) -> None:
    """A data folder that a server has used and left."""
    async with running(data, SECRET, **SECTIONS) as receiver:
        token = receiver.settings.endpoints[0].tokens[0]
        async with aiohttp.ClientSession() as client:
            for number in range(deliveries):
                body = {**JOINING, "bot_id": f"bot-{number}"}
                async with client.post(f"{receiver.url}/meetstream/default/{token}", json=body) as reply:
                    assert reply.status == 200
        await drained(receiver)


def tree(folder: Path) -> dict[str, bytes]:
    """Every file and what is in it."""
    return {str(path): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def test_before_the_first_start(doctor: Doctor, tmp_path: Path) -> None:
    """No folder, no journal: the delivery goes through a server started for it, and nothing is left behind."""
    status, found = doctor()
    assert status == 0, found
    assert found["delivery.meetstream.default"]["facts"]["proof"] == "token and signature"
    assert "the configured sinks were not written to" in found["delivery.meetstream.default"]["text"]
    assert [path.name for path in tmp_path.iterdir()] == ["receiver.toml"]


def test_an_endpoint_that_only_its_vendor_can_sign_for(doctor: Doctor) -> None:
    """No delivery is tried; whether the published key can be had, is. Port 1 is nobody's."""
    status, found = doctor('[endpoints.realtimekit.default]\nkey_url = "http://127.0.0.1:1/keys.json"\n')
    one = found["delivery.realtimekit.default"]
    assert status == 1 and one["verdict"] == "bad" and "public key cannot be had" in one["text"]
    status, found = doctor('[endpoints.realtimekit.default]\nsecret_env = ["DOCTOR_SECRET"]\n')
    one = found["delivery.realtimekit.default"]
    assert status == 0 and one["verdict"] == "warn" and "only the vendor can sign" in one["text"]


async def test_at_rest(doctor: Doctor, tmp_path: Path) -> None:
    """Every file is read, none is changed; the sinks' cursors are compared with what the journal holds."""
    await filled(tmp_path / "data")
    before = tree(tmp_path / "data")
    status, found = await asyncio.to_thread(doctor)
    assert status == 0, found
    assert found["journal.events"]["facts"]["records"] == 3
    assert found["cursor.file"]["text"] == "has everything"
    assert found["fsync"]["facts"]["syncs"] > 0
    assert tree(tmp_path / "data") == before


async def test_beside_a_live_server(doctor: Doctor, tmp_path: Path) -> None:
    """The delivery is real: signed, with the token, journalled, and at every sink within the time."""
    async with running(tmp_path / "data", SECRET, **SECTIONS):
        status, found = await asyncio.to_thread(doctor)
    assert status == 0, found
    subject = found["delivery.meetstream.default"]["facts"]["subject"]
    (event,) = events_in(tmp_path / "data")
    assert (event["type"], event["subject"], event["vendorevent"]) == ("vendor.event", subject, "receiver.doctor")


async def test_a_live_server_with_another_secret(
    doctor: Doctor, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What vendors would meet is what is told: the delivery is refused."""
    async with running(tmp_path / "data", {"DOCTOR_SECRET": "another"}, **SECTIONS):
        status, found = await asyncio.to_thread(doctor)
    one = found["delivery.meetstream.default"]
    assert status == 1 and one["verdict"] == "bad" and "answered 401" in one["text"]


async def test_a_live_server_whose_endpoint_has_a_scheme(doctor: Doctor, tmp_path: Path) -> None:
    """Its delivery is signed as the scheme says."""
    scheme = {"signature_header": "X-Hook-Digest", "encoding": "base64"}
    endpoints = {**SECTIONS["endpoints"], "meemo": {"default": {"secret_env": ["DOCTOR_SECRET"], "scheme": scheme}}}
    table = '[endpoints.meemo.default]\nsecret_env = ["DOCTOR_SECRET"]\n[endpoints.meemo.default.scheme]\n' + "".join(
        f'{key} = "{value}"\n' for key, value in scheme.items()
    )
    async with running(tmp_path / "data", SECRET, endpoints=endpoints):
        status, found = await asyncio.to_thread(doctor, table)
    assert status == 0, found
    assert "accepted with signature" in found["delivery.meemo.default"]["text"]


async def test_a_damaged_journal(doctor: Doctor, tmp_path: Path) -> None:
    """A flipped bit in a payload is bad and named with its file; files that lie aside are named with size and day."""
    await filled(tmp_path / "data")
    (path,) = (tmp_path / "data" / "journal" / "events").glob("*.db")
    raw = bytearray(path.read_bytes())
    raw[raw.index(b"bot-1")] ^= 1
    path.write_bytes(raw)
    aside = path.with_name(path.name + ".damaged-7")
    aside.write_bytes(b"12345")
    os.utime(aside, (1_700_000_000, 1_700_000_000))
    status, found = await asyncio.to_thread(doctor)
    assert status == 1
    assert path.name in found["journal.events"]["text"] and "checksum" in found["journal.events"]["text"]
    assert "5 B, 2023-11-14" in found["journal.damaged"]["text"]
    (tmp_path / "data" / "journal" / "state.db").write_bytes(b"\x00" * 8192)
    assert (await asyncio.to_thread(doctor))[1]["journal.state"]["verdict"] == "bad"


async def test_records_that_vanished(doctor: Doctor, tmp_path: Path) -> None:
    """A file that SQLite finds sound, and one record less than were written: the one behind it tells."""
    data = tmp_path / "data"
    await filled(data)
    (path,) = (data / "journal" / "events").glob("*.db")
    with sqlite3.connect(path) as db:
        db.execute("DELETE FROM record WHERE seq = (SELECT max(seq) - 1 FROM record)")
    db.close()
    status, found = await asyncio.to_thread(doctor)
    assert status != 0 and found["journal.events"]["verdict"] == "bad"
    assert "1 sequence number before" in found["journal.events"]["text"]


async def test_a_sink_that_is_behind(doctor: Doctor, tmp_path: Path) -> None:
    """How many events wait for it, and one that never ran."""
    await filled(tmp_path / "data")
    status, found = await asyncio.to_thread(doctor, '[sinks.more]\ntype = "stdout"\n')
    assert status == 0 and found["cursor.more"]["facts"] == {"cursor": None, "behind": 3}


async def test_a_record_from_the_future(doctor: Doctor, tmp_path: Path) -> None:
    """The clock was ahead when it was received, or is behind now."""
    await filled(tmp_path / "data", 1)
    (path,) = (tmp_path / "data" / "journal" / "events").glob("*.db")
    os.utime(path, (time.time() + 7200, time.time() + 7200))
    status, found = await asyncio.to_thread(doctor)
    assert status == 0 and found["clock"]["verdict"] == "warn" and "from now" in found["clock"]["text"]


def test_text_for_people(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """One aligned line for each finding."""
    assert main(["doctor", "--data", str(tmp_path / "data")]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert len(lines) >= 6 and all(line[:5] in ("ok   ", "warn ", "bad  ") and ": " in line for line in lines)


def test_a_wrong_config_is_78(tmp_path: Path) -> None:
    """As everywhere."""
    (tmp_path / "receiver.toml").write_text('[sinks.a]\ntype = "a"\n')
    assert main(["doctor", "--config", str(tmp_path / "receiver.toml")]) == 78


def test_room_for_retention(tmp_path: Path) -> None:
    """Limits that cannot be filled are a warning, less than the least free space is bad."""

    def verdict(journal: dict[str, Any]) -> str:
        return machine.examine_disk(from_dict({"data_dir": str(tmp_path), "journal": journal}, {}), 0).verdict

    lanes = {name: {"max_bytes": 1 << 20, "max_age_s": 60} for name in ("events", "media", "quarantine")}
    assert verdict({"min_free_bytes": 0, **lanes}) == "ok"
    assert verdict({"min_free_bytes": 0, **lanes, "media": {"max_bytes": 1 << 55, "max_age_s": 60}}) == "warn"
    assert verdict({"min_free_bytes": 1 << 60, **lanes}) == "bad"


def test_a_sync_that_is_none(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A sync that takes no time at all is doubted; one in memory is told by its file system."""
    monkeypatch.setattr("os.fsync", lambda descriptor: None)
    assert machine.examine_sync(tmp_path).verdict == "warn"
    assert machine.file_system(Path("/proc"))[0] == "proc"


@pytest.mark.skipif(shutil.which("openssl") is None, reason="openssl makes the certificate")
@pytest.mark.parametrize(("days", "verdict"), [(90, "ok"), (5, "warn"), (-1, "bad")])
def test_certificates(tmp_path: Path, days: int, verdict: str) -> None:
    """Days left as a client meets it; an expired one is bad."""
    (tmp_path / "ca.cnf").write_text(
        "[ca]\ndefault_ca=d\n[d]\ndatabase=index\nnew_certs_dir=.\nserial=serial\ndefault_md=sha256\npolicy=p\n"
        "[p]\ncommonName=supplied\n"
    )
    (tmp_path / "index").write_text("")
    (tmp_path / "serial").write_text("01")
    request = ["req", "-new", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes",
               "-subj", "/CN=hooks.example.org", "-keyout", "key.pem", "-out", "request.pem"]  # fmt: skip
    until = time.strftime("%Y%m%d%H%M%SZ", time.gmtime(time.time() + days * 86400))
    sign_it = ["ca", "-batch", "-selfsign", "-notext", "-config", "ca.cnf", "-keyfile", "key.pem", "-in", "request.pem",
               "-out", "cert.pem", "-startdate", "20200101000000Z", "-enddate", until]  # fmt: skip
    for make in (request, sign_it):
        subprocess.run(["openssl", *make], cwd=tmp_path, capture_output=True, check=True)
    finding = machine.examine_certificate(str(tmp_path / "cert.pem"), str(tmp_path / "key.pem"))
    assert finding.verdict == verdict, finding


def test_what_is_signed_verifies() -> None:
    """The doctor's signature is the vendor's own scheme, with the newest secret first."""
    headers = sign(b"{}", ["new", "old"], 1_700_000_000.0)
    assert verify(headers, b"{}", secrets=["new"], now_s=1_700_000_001.0) == "valid"
