"""What Meemo's log knows and the receiver does not: the one gets into the journal, the rest are repeats."""

import time
from pathlib import Path

import aiohttp

from receiver.app import Receiver
from receiver.rest.base import Hints
from receiver.rest.meemo import MeemoApi
from receiver.settings import Account
from receiver.simulator.meemo import MeemoCloud
from receiver.telemetry.ledger import Intake as Book
from receiver.vendors.replies import reply_record
from tests.support import drained, events_in, running

SECRET = "whsec_MDEyMzQ1Njc4OTAxMjM0NTY3ODkw"
ENDPOINTS = {"meemo": {"default": {"secret_env": ["S"]}}}
ASKED = {"organization_id": 1, "title": "Weekly"}


async def test_only_what_never_came_is_journalled(tmp_path: Path) -> None:
    """Advice 5 of the fact sheet: the log is asked, each entry is a delivery, the intake drops those that came."""
    cloud = MeemoCloud(client_id="app", client_secret="s3cret", speed=0, retries_s=())
    async with running(tmp_path, {"S": SECRET}, endpoints=ENDPOINTS) as server, cloud.serve():
        hook = cloud.add_hook(f"{server.url}/meemo/default", 1, secret=SECRET)
        cloud.add_meeting(ASKED)
        await cloud.idle()
        hook.target_url = "http://127.0.0.1:9/"
        cloud.add_meeting(ASKED)
        await cloud.idle()
        account = Account(vendor="meemo", name="default", key="s3cret", id="app", base_url=cloud.url)
        async with aiohttp.ClientSession() as client:
            found = await MeemoApi(account, client).own_record("", Hints())
        fates, again = [[await accepted(server, one.body) for one in found] for _ in range(2)]
        await drained(server)
    assert sorted(fates) == ["accepted"] * 3 + ["duplicate"] * 3 and set(again) == {"duplicate"}
    events = events_in(tmp_path)
    assert len({event["id"] for event in events}) == len(events) == 6
    missed = [event for event in events if event["data"].get("reconciled")]
    assert sorted(event["vendorevent"] for event in missed) == sorted(event["vendorevent"] for event in events[:3])


async def accepted(server: Receiver, body: bytes) -> str:
    """What becomes of an answer that is journalled like a delivery."""
    record = reply_record(
        "meemo", "default", "delivery-log", body, subject="", content_type="application/json", now_ns=time.time_ns()
    )
    return (await server.intake.accept(record, Book())).fate
