"""The stand-in of RealtimeKit: what it pushes decodes, signatures fit, sockets are as documented, tallies balance."""

import contextlib
import json
import shutil
import subprocess
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import aiohttp
import pytest
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat, load_pem_private_key
from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import ConnectionClosed, InvalidStatus

from receiver.errors import BadSignature
from receiver.events import AudioChunk, Event, Transcript, VideoChunk
from receiver.record import Record
from receiver.simulator.cloud import CLOUD_FAULTS
from receiver.simulator.realtimekit import Accidents, RealtimeKitCloud, play_meetings
from receiver.simulator.realtimekit.agents import GRACE_S, MOST_QUEUED
from receiver.simulator.realtimekit.media import FIRST_NUMBER, jpeg, packet
from receiver.vendors import realtimekit
from receiver.vendors.realtimekit.jpeg import jpeg_size
from receiver.vendors.realtimekit.packet import read_packet
from receiver.vendors.realtimekit.verify import verify
from tests.realtimekit_service import Endpoint, private_key, service
from tests.vendors.realtimekit_wire import play, socket
from tests.vendors.samples import NOW_NS

ALL = "?subscriptions=transcript,participant,broadcast"


def public_key(number: int = 0) -> str:
    key = load_pem_private_key(private_key(number).encode(), None)
    return key.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo).decode()


def events_of(endpoint: Endpoint) -> list[Event]:
    """What our decoder makes of every push; signatures are checked before."""
    events = []
    for headers, body in endpoint.posts:
        assert verify(headers, body, secrets=[public_key()], now_s=None) == "valid"
        record = Record(
            vendor="realtimekit", endpoint="default", kind="body", payload=body, received_ns=NOW_NS,
            headers=tuple(headers.items()),
        )  # fmt: skip
        events += realtimekit.decode(record).events
    return events


async def pushed(endpoint: Endpoint, **behaviour: Any) -> Any:
    facts: dict[str, Any] = {"speed": 0, "secret": private_key(), "media": False, **behaviour}
    return await play_meetings(f"{endpoint.url}?token=tok-1", **facts)


# Webhooks


@pytest.mark.parametrize("meetings", [1, 2])
async def test_a_meeting_is_pushed_from_its_start_to_its_files(meetings: int) -> None:
    """Webhooks, in the vendor's form, and of every second meeting in Dyte's: all decode, all are signed."""
    async with Endpoint().serve() as endpoint:
        tally = await pushed(endpoint, meetings=meetings)
        counts = Counter((event.type, event.vendorevent) for event in events_of(endpoint))
        expected = {
            ("meeting.started", "meeting.started"): 1, ("meeting.ended", "meeting.ended"): 1,
            ("participant.joined", "meeting.participantJoined"): 3, ("participant.left", "meeting.participantLeft"): 3,
            ("recording.status", "recording.statusUpdate"): 3, ("artifact.ready", "recording.statusUpdate"): 2,
            ("artifact.ready", "meeting.chatSynced"): 1, ("artifact.ready", "meeting.transcript"): 1,
            ("artifact.ready", "meeting.summary"): 1, ("vendor.event", "livestreaming.statusUpdate"): 2,
        }  # fmt: skip
        assert counts == {name: count * meetings for name, count in expected.items()}
        assert (tally.pushed, tally.accepted, tally.repeated) == (len(endpoint.posts),) * 2 + (0,)


async def test_both_forms_are_told_apart_by_headers_and_times() -> None:
    """``rtk-*`` and ISO times; ``dyte-*`` and times with a blank."""
    async with Endpoint().serve() as endpoint:
        await pushed(endpoint, meetings=2)
        for prefix, mark in (("rtk", "T"), ("dyte", " ")):
            bodies = [json.loads(body) for headers, body in endpoint.posts if f"{prefix}-uuid" in headers]
            assert len(bodies) == 17
            assert {body["meeting"]["startedAt"][10] for body in bodies if "meeting" in body} == {mark}
        ids = [headers.get("rtk-uuid") or headers["dyte-uuid"] for headers, _ in endpoint.posts]
        assert len(set(ids)) == len(ids)


async def test_the_same_seed_plays_the_same_people() -> None:
    """Ids and the cast follow from the seed; another gives others."""
    names = []
    for seed in (1, 1, 2):
        async with Endpoint().serve() as endpoint:
            await pushed(endpoint, seed=seed)
            names.append([e.subject + str(getattr(e.data, "participant", "")) for e in events_of(endpoint)])
    assert names[0] == names[1] != names[2]


@pytest.mark.parametrize("fault", sorted(CLOUD_FAULTS))
async def test_every_fault_leaves_the_books_balanced(fault: str) -> None:
    """Each push is answered, refused or failed; what is repeated is the same delivery with the same id."""
    async with Endpoint(*[200] * 4, *[404] * 5).serve() as endpoint:
        tally = await pushed(endpoint, faults=[fault], meetings=2, seed=3)
        assert tally.pushed == tally.accepted + tally.refused + tally.failed == len(endpoint.posts)
        ids = Counter(headers.get("rtk-uuid") or headers["dyte-uuid"] for headers, _ in endpoint.posts)
        assert sum(ids.values()) - len(ids) == tally.repeated
        assert bool(tally.repeated) == (fault in ("duplicates", "retries"))
        assert bool(tally.held_back) == (fault == "breaker")
        assert bool(tally.reordered) == (fault == "reorder")


async def test_what_is_answered_5xx_is_sent_again_and_what_is_answered_4xx_is_not() -> None:
    """Webhooks, retries: a 404 loses the event; a 503 brings it again, with its id."""
    async with Endpoint(503, 503, 404).serve() as endpoint:
        tally = await pushed(endpoint)
        ids = [headers["rtk-uuid"] for headers, _ in endpoint.posts]
        assert (ids[0] == ids[1], ids[1] == ids[2], len(set(ids))) == (True, True, len(ids) - 2)
        assert (tally.failed, tally.refused, tally.repeated) == (2, 1, 2)


async def test_the_published_key_fits_and_rotates() -> None:
    """``.well-known/webhooks.json``: after a rotation the old key fits no more."""
    async with service() as (cloud, _), Endpoint().serve() as endpoint, aiohttp.ClientSession() as client:

        async def published() -> str:
            async with client.get(cloud.key_url) as answer:
                told = await answer.json()
                assert (told["success"], told["message"]) == (True, "")
                return str(told["data"]["publicKey"])

        before = await published()
        cloud.keys.rotate(private_key(1))
        after = await published()
        assert before.strip() == public_key().strip() != after.strip() == public_key(1).strip()
        cloud.add_webhook(endpoint.url, ["meeting.started"])
        cloud.hold(cloud.add_meeting("x", "realtimekit"))
        await cloud.idle()
        [(headers, body)] = endpoint.posts
        assert verify(headers, body, secrets=[after], now_s=None) == "valid"
        with pytest.raises(BadSignature):
            verify(headers, body, secrets=[before], now_s=None)


async def test_webhooks_get_what_they_subscribed_to() -> None:
    """Disabled ones get nothing; the stream's key is in no other event."""
    async with service() as (cloud, _), Endpoint().serve() as endpoint:
        cloud.store.webhooks[cloud.add_webhook(f"{endpoint.url}?off", ["meeting.ended"])]["enabled"] = False
        cloud.add_webhook(endpoint.url, ["meeting.ended"])
        cloud.hold(cloud.add_meeting("x", "realtimekit"))
        await cloud.idle()
        assert [json.loads(body)["event"] for _, body in endpoint.posts] == ["meeting.ended"]


async def test_a_url_that_is_none_is_refused() -> None:
    """Before anything is played."""
    with pytest.raises(ValueError, match="http://"):
        await play_meetings("ftp://h.example/x")


# The SFU's sockets


async def test_sound_and_pictures_go_to_the_places_that_the_url_implies() -> None:
    """48 kHz stereo in packets whose numbers wrap, a JPEG a second: our session makes one stream of it, no gap."""
    async with Endpoint().serve() as endpoint:
        tally = await pushed(endpoint, media=True)
        streams = {path.rpartition("/")[2]: (path, messages) for path, messages in endpoint.sockets}
        assert tally.frames == sum(len(messages) for _, messages in endpoint.sockets)
        assert tally.sockets == len(endpoint.sockets) == 2
        path, messages = streams["audio"]
        assert path.split("/")[2].endswith(":microphone")
        assert read_packet(messages[0]).sequence == FIRST_NUMBER
        assert read_packet(messages[100]).sequence == 0
        assert messages[100][0] != 0x08, "a zero is left out"
        chunks = [event.data for event in play(socket("audio", subject="m:microphone"), messages)]
        sound = [chunk for chunk in chunks if isinstance(chunk, AudioChunk)]
        assert len(sound) == len(messages) == 1529
        assert [chunk.gap_ms for chunk in sound if chunk.gap_ms] == []
        assert sound[-1].first_sample == 1528 * 960
        pictures = [event.data for event in play(socket("video"), streams["video"][1])]
        assert {(one.width, one.height) for one in pictures if isinstance(one, VideoChunk)} == {(64, 48)}
        assert len(pictures) == 30


async def test_a_stream_with_accidents_is_resumed_and_its_gap_is_told() -> None:
    """Packets are lost and the socket is cut: the SFU dials the same URL again and repeats; no sound comes twice."""
    async with service(accidents=Accidents(cut=40, lost=frozenset({20, 21}))) as (cloud, _), Endpoint().serve() as end:
        await cloud.sfu.start(f"{end.url.replace('http', 'ws')}/m:microphone/audio", "microphone", "pcm")
        await cloud.idle()
        (path, first), (again, second) = end.sockets
        assert path == again
        assert (len(first), len(second)) == (38, 1529 - 40 + 2)
        before = socket("audio", subject="m:microphone")
        heard = play(before, first)
        after = socket("audio", subject="m:microphone", connection="c2")
        after.adopt(before.snapshot())
        heard += play(after, second)
        sound = [event.data for event in heard if isinstance(event.data, AudioChunk)]
        assert len(sound) == 1529 - 2
        assert [chunk.gap_ms for chunk in sound if chunk.gap_ms] == [40.0]
        assert sound[-1].first_sample == 1528 * 960


def test_packets_are_as_the_vendors_own_vector_has_them() -> None:
    """Fact sheet 5.3: the worked vector, and what proto3 leaves out."""
    assert packet(42, 1000, b"\xaa\xbb") == bytes.fromhex("082A10E8072A02AABB")
    assert packet(0, 0, b"") == b""
    assert packet(0, 300, b"") == bytes.fromhex("10AC02")
    assert packet(4294967295, 0, b"") == bytes.fromhex("08FFFFFFFF0F")


@pytest.mark.skipif(shutil.which("ffmpeg") is None, reason="ffmpeg is not installed")
@pytest.mark.parametrize("shade", [0, 100, 255])
def test_the_pictures_are_real_ones(shade: int) -> None:
    """Somebody else's decoder sees the size and the shade."""
    image = jpeg(65, 48, shade)
    command = ["ffmpeg", "-v", "error", "-f", "mjpeg", "-i", "-", "-f", "rawvideo", "-pix_fmt", "gray", "-"]
    decoded = subprocess.run(command, input=image, capture_output=True, check=True).stdout
    assert jpeg_size(image) == (65, 48)
    assert decoded == bytes([shade]) * (65 * 48)


# Agents


@asynccontextmanager
async def agent_of(
    cloud: RealtimeKitCloud, token: str, query: str = ALL, **changes: Any
) -> AsyncIterator[ClientConnection]:
    """An agent as the vendor documents it."""
    facts = {"subprotocols": ["realtimekit.v1"], "additional_headers": {"Authorization": f"Bearer {token}"}, **changes}
    async with connect(cloud.agent_url + query, **facts) as connection:
        yield connection


def joining(cloud: RealtimeKitCloud, **fields: Any) -> tuple[str, str]:
    """A meeting, and the token of an agent that was added to it."""
    meeting = cloud.store.add_meeting({"title": "Weekly", **fields})["id"]
    person = cloud.store.add_person(meeting, {"custom_participant_id": "bot", "preset_name": "agent", "name": "Bot"})
    return meeting, person.tokens[0]


async def heard(connection: ClientConnection) -> list[str]:
    """All messages until the other side closes."""
    return [str(message) async for message in connection]


async def test_an_agent_hears_the_meeting_and_our_session_understands_it() -> None:
    """Everything that is subscribed to, from ``session.started`` to the close with ``session_ended``."""
    async with service(wait_for_agent=True) as (cloud, _):
        meeting, token = joining(cloud)
        cloud.hold(meeting)
        async with agent_of(cloud, token) as connection:
            assert connection.subprotocol == "realtimekit.v1"
            messages = await heard(connection)
            assert (connection.close_code, connection.close_reason) == (1000, "session_ended")
        session = socket("transcript")
        events = play(session, messages)
        counts = Counter(event.type for event in events)
        assert counts == {
            "meeting.started": 1, "participant.joined": 3, "transcript.partial": 10, "transcript.final": 10,
            "vendor.event": 1, "participant.left": 3, "meeting.ended": 1,
        }  # fmt: skip
        assert {event.subject for event in events} == {meeting}
        assert session.close_expected()
        finals = [event.data for event in events if event.type == "transcript.final"]
        assert isinstance(finals[0], Transcript)
        assert (finals[0].text or "").startswith("Good morning.")
        assert cloud.tally.messages == len(messages)


async def test_an_agent_hears_only_what_it_subscribed_to() -> None:
    """The session's own messages come always."""
    async with service(wait_for_agent=True) as (cloud, _):
        meeting, token = joining(cloud)
        cloud.hold(meeting)
        async with agent_of(cloud, token, "?subscriptions=broadcast") as connection:
            names = [json.loads(message)["name"] for message in await heard(connection)]
        assert names == ["session.started", "broadcast.received", "session.ended"]


async def test_kick_all_is_told_to_the_agent_and_ends_the_session() -> None:
    """``participant.kick_all``, everybody leaves, then ``session.ended`` by the host; the webhook says the same."""
    bodies: list[dict[str, Any]] = []

    async def kick_when_two_are_there(body: bytes) -> None:
        bodies.append(json.loads(body))
        if [told["event"] for told in bodies].count("meeting.participantJoined") == len(bodies) == 2:
            assert (await api.kick_all(meeting)).kicked_participants_count == 2

    async with service(wait_for_agent=True) as (cloud, api), Endpoint(on_post=kick_when_two_are_there).serve() as end:
        cloud.add_webhook(end.url, ["meeting.participantJoined", "meeting.ended"])
        meeting, token = joining(cloud)
        cloud.hold(meeting)
        async with agent_of(cloud, token) as connection:
            messages = [json.loads(message) for message in await heard(connection)]
        await cloud.idle()
        names = [message["name"] for message in messages]
        assert names[-4:] == ["participant.kick_all", "participant.leave", "participant.leave", "session.ended"]
        assert messages[-1]["data"]["reason"] == "host_ended_meeting"
        assert bodies[-1]["reason"] == "HOST_ENDED_MEETING"


async def test_requests_are_answered_and_wrong_ones_are_refused() -> None:
    """``connection.get``, ``connection.ping``, and each error; the socket stays open."""
    async with service() as (cloud, _):
        _, token = joining(cloud)
        async with agent_of(cloud, token, "?subscriptions=transcript") as connection:

            async def ask(text: str) -> dict[str, Any]:
                await connection.send(text)
                told: dict[str, Any] = json.loads(await connection.recv())
                return told

            got = await ask(realtimekit.connection_get("r1"))
            [id_] = cloud.agents.connections
            assert got["data"] == {"connection": {"id": id_, "subscriptions": ["transcript"]}}
            assert (got["request_id"], got["error"]) == ("r1", None)
            assert (await ask(realtimekit.ping("r2")))["data"] == {}
            unknown = {"category": "request", "request_id": "r3", "name": "chat.send", "data": {}}
            assert (await ask(json.dumps(unknown)))["error"]["code"] == "UNSUPPORTED_REQUEST"
            for wrong in ("nonsense", "[]", json.dumps(unknown | {"request_id": "x" * 129})):
                assert (await ask(wrong))["error"]["code"] == "INVALID_REQUEST"


@pytest.mark.parametrize(
    ("query", "token", "protocols", "status", "code"),
    [
        (ALL, "wrong", ["realtimekit.v1"], 401, "UNAUTHENTICATED"),
        (ALL, "", None, 400, "BAD_REQUEST"),
        ("?subscriptions=video", "", ["realtimekit.v1"], 400, "INVALID_QUERY"),
        ("?color=red", "", ["realtimekit.v1"], 400, "INVALID_QUERY"),
        ("?connection_id=", "", ["realtimekit.v1"], 400, "INVALID_QUERY"),
        ("?connection_id=conn_x", "", ["realtimekit.v1"], 404, "CONNECTION_NOT_FOUND"),
    ],
)
async def test_an_upgrade_is_refused_with_the_vendors_body(
    query: str, token: str, protocols: Any, status: int, code: str
) -> None:
    """Fact sheet, section 4: failed upgrades."""
    async with service() as (cloud, _):
        _, right = joining(cloud)
        with pytest.raises(InvalidStatus) as refusal:
            async with agent_of(cloud, token or right, query, subprotocols=protocols):
                pass
        assert refusal.value.response.status_code == status
        assert json.loads(refusal.value.response.body)["error"]["code"] == code


async def test_an_agent_that_is_cut_off_resumes_with_what_was_queued() -> None:
    """Within five seconds, by the connection's id: in order, with no second ``session.started``."""
    async with service() as (cloud, _):
        meeting, token = joining(cloud)
        cloud.wait_for_agent, cloud.speed = True, 0.0001
        cloud.hold(meeting)
        async with agent_of(cloud, token) as connection:
            assert json.loads(await connection.recv())["name"] == "session.started"
            [one] = cloud.agents.of(meeting)
            cloud.agents.cut(one)
            with pytest.raises(ConnectionClosed):
                while True:
                    await connection.recv()
        await one.away.wait()
        await cloud.agents.tell(meeting, "broadcast.received", {"type": "a", "payload": {}})
        await cloud.agents.tell(meeting, "broadcast.received", {"type": "b", "payload": {}})
        async with agent_of(cloud, token, f"?connection_id={one.id}") as again:
            types: list[str] = []
            while len(types) < 2:
                told = json.loads(await again.recv())
                assert told["name"] != "session.started"
                types += [told["data"]["type"]] if told["name"] == "broadcast.received" else []
            assert types == ["a", "b"]


async def test_an_agent_that_stays_away_too_long_joins_anew(monkeypatch: pytest.MonkeyPatch) -> None:
    """After the grace period what happens is lost; a second ``session.started`` marks the gap."""
    monkeypatch.setattr("receiver.simulator.realtimekit.agents.GRACE_S", -1.0)
    assert GRACE_S == 5.0
    async with service() as (cloud, _):
        meeting, token = joining(cloud)
        cloud.wait_for_agent, cloud.speed = True, 0.0001
        cloud.hold(meeting)
        async with agent_of(cloud, token) as connection:
            await connection.recv()
            [one] = cloud.agents.of(meeting)
            cloud.agents.cut(one)
            with contextlib.suppress(ConnectionClosed):
                await heard(connection)
        await one.away.wait()
        one.queue.clear()
        await cloud.agents.tell(meeting, "broadcast.received", {"type": "lost", "payload": {}})
        async with agent_of(cloud, token, f"?connection_id={one.id}") as again:
            assert json.loads(await again.recv())["name"] == "session.started"


@pytest.mark.parametrize(
    ("code", "reason", "for_good"),
    [
        (1013, "queue_overflow", True), (1013, "upstream_lost", False), (1013, "upstream_unavailable", False),
        (4403, "upstream_rejected", True),
    ],
)  # fmt: skip
async def test_every_close_code_and_what_a_resume_gives_then(code: int, reason: str, for_good: bool) -> None:
    """What ended for good ends again at once; else the agent joins anew."""
    async with service() as (cloud, _):
        meeting, token = joining(cloud)
        async with agent_of(cloud, token) as connection:
            await connection.send(realtimekit.ping("r1"))
            await connection.recv()
            [one] = cloud.agents.of(meeting)
            cloud.play(cloud.agents.end(one, code, reason))
            await connection.wait_closed()
            assert (connection.close_code, connection.close_reason) == (code, reason)
        async with agent_of(cloud, token, f"?connection_id={one.id}") as again:
            if for_good:
                await again.wait_closed()
                assert (again.close_code, again.close_reason) == (code, reason)
            else:
                await again.send(realtimekit.ping("r1"))
                assert json.loads(await again.recv())["data"] == {}


async def test_a_second_socket_of_the_same_connection_replaces_the_first() -> None:
    """4409: the first must not come back."""
    async with service() as (cloud, _):
        _, token = joining(cloud)
        async with agent_of(cloud, token) as first:
            await first.send(realtimekit.ping("r1"))
            await first.recv()
            [id_] = cloud.agents.connections
            async with agent_of(cloud, token, f"?connection_id={id_}") as second:
                await first.wait_closed()
                assert (first.close_code, first.close_reason) == (4409, "replaced")
                await second.send(realtimekit.ping("r2"))
                assert json.loads(await second.recv())["request_id"] == "r2"


async def test_more_than_can_be_queued_ends_the_connection() -> None:
    """10 000 messages while nobody listens."""
    async with service() as (cloud, _):
        meeting, token = joining(cloud)
        async with agent_of(cloud, token) as connection:
            await connection.send(realtimekit.ping("r1"))
            await connection.recv()
            [one] = cloud.agents.of(meeting)
            cloud.agents.cut(one)
            with contextlib.suppress(ConnectionClosed):
                await heard(connection)
        await one.away.wait()
        one.joined = True
        for _ in range(MOST_QUEUED + 1):
            await cloud.agents.tell(meeting, "broadcast.received", {})
        assert one.over == (1013, "queue_overflow")
        async with agent_of(cloud, token, f"?connection_id={one.id}") as again:
            await again.wait_closed()
            assert again.close_reason == "queue_overflow"


async def test_an_agent_that_says_goodbye_has_left() -> None:
    """A close with 1000 is no loss of the line: there is nothing to resume."""
    async with service() as (cloud, _):
        meeting, token = joining(cloud)
        async with agent_of(cloud, token) as connection:
            await connection.send(realtimekit.ping("r1"))
            await connection.recv()
            [one] = cloud.agents.of(meeting)
        await one.away.wait()
        assert cloud.agents.of(meeting) == []
