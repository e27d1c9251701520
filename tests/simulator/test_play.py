"""The shapes and the order of what a simulated bot sends, held against the vendor's documents by hand."""

import ast
import asyncio
import hashlib
import hmac
import json
import socket
import struct
import time
import uuid
from datetime import UTC, datetime
from importlib import resources
from itertools import groupby
from pathlib import Path
from typing import Any

import pytest
from aiohttp import web

import receiver.simulator
from receiver.simulator import Channels, Tally, play, speech
from tests.simulator.recording_server import Connection, Post, Recorder, recording_server

STARTED = datetime(2026, 10, 5, 9, 30, 0, tzinfo=UTC)
WEBHOOK: dict[str, Any] = {"speed": 0, "started": STARTED, "transcript": "webhook"}
SOCKET: dict[str, Any] = {"speed": 0, "started": STARTED, "transcript": "websocket"}
POSTS_ONLY: dict[str, Any] = {"audio": False, "video": False, "control": False}


def callbacks(recorder: Recorder) -> list[dict[str, Any]]:
    """Lifecycle and post-call deliveries in order of arrival."""
    return [post.json for post in recorder.posts if "event" in post.json and "bot_id" in post.json]


def participants(recorder: Recorder) -> list[dict[str, Any]]:
    """Participant events in order of arrival."""
    return [post.json for post in recorder.posts if str(post.json.get("event")).startswith("participant_events.")]


def transcripts(recorder: Recorder) -> list[dict[str, Any]]:
    """Live transcript updates in order of arrival."""
    return [post.json for post in recorder.posts if "transcript" in post.json]


def split_frame(frame: bytes) -> tuple[str, str, bytes]:
    """Speaker id, speaker name and samples of an audio frame, read by hand."""
    tag, id_length = struct.unpack_from("<BH", frame)
    assert tag == 1
    speaker_id = frame[3 : 3 + id_length].decode()
    (name_length,) = struct.unpack_from("<H", frame, 3 + id_length)
    start = 5 + id_length
    return speaker_id, frame[start : start + name_length].decode(), frame[start + name_length :]


async def test_callbacks_tell_the_whole_life_of_a_bot_in_order() -> None:
    """Generation 3: from bot.joining to bot.done, in the vendor's order; parallel ones after the call in any."""
    async with recording_server() as recorder:
        await play(recorder.url, **WEBHOOK)
    names = [body["event"] for body in callbacks(recorder)]
    assert names[:4] == ["bot.joining", "bot.in_waiting_room", "bot.inmeeting", "bot.recording"]
    assert names[4:7] == ["bot.leaving", "bot.stopped", "bot.uploading"]
    assert set(names[7:11]) == {"manifest.completed", "audio.processed", "transcription.processed", "video.processed"}
    assert names[11:] == ["bot.done"]


async def test_lifecycle_callback_shape() -> None:
    """event, bot_event, bot_status, message, status_code, timestamp with Z and ms, custom_attributes."""
    async with recording_server() as recorder:
        tally = await play(recorder.url, **WEBHOOK)
    joining, waiting = callbacks(recorder)[:2]
    assert joining == {
        "event": "bot.joining",
        "bot_event": "bot.joining",
        "bot_id": tally.meetings[0].bot_id,
        "bot_status": "Joining",
        "message": joining["message"],
        "status_code": 200,
        "timestamp": "2026-10-05T09:30:00.000Z",
        "custom_attributes": {"meeting": "incident-review-1", "team": "platform"},
    }
    assert joining["message"]
    assert (waiting["bot_status"], waiting["timestamp"]) == ("InWaitingRoom", "2026-10-05T09:30:00.400Z")
    assert recorder.posts[0].headers["content-type"] == "application/json"


async def test_post_call_callback_shape() -> None:
    """status, the matching status key, a timestamp with +00:00 and microseconds; no bot_event on the manifest."""
    async with recording_server() as recorder:
        await play(recorder.url, **WEBHOOK)
    bodies = {body["event"]: body for body in callbacks(recorder)}
    audio, manifest = bodies["audio.processed"], bodies["manifest.completed"]
    assert (audio["status"], audio["audio_status"], audio["bot_event"]) == ("success", "Success", "audio.processed")
    assert audio["timestamp"].endswith("+00:00")
    assert "bot_event" not in manifest
    assert "bot_event" not in bodies["bot.uploading"]
    assert manifest["manifest_status"] == "Success"
    assert "bot_status" not in audio


async def test_exit_reason_stands_in_bot_event() -> None:
    """Generation 3: an exit is always bot.stopped, and only bot_event tells a kick."""
    async with recording_server() as recorder:
        tally = await play(recorder.url, meetings=3, **POSTS_ONLY, **WEBHOOK)
    exits = {body["bot_id"]: body for body in callbacks(recorder) if body["event"] == "bot.stopped"}
    kicked = exits[tally.meetings[2].bot_id]
    assert (kicked["bot_event"], kicked["bot_status"], kicked["status_code"]) == ("bot.kicked", "Stopped", 200)
    assert exits[tally.meetings[0].bot_id]["bot_event"] == "bot.stopped"


async def test_a_retried_join_is_told_twice_at_different_times() -> None:
    """bot.joining comes again when the service retries: equal text, another timestamp."""
    async with recording_server() as recorder:
        tally = await play(recorder.url, meetings=2, **POSTS_ONLY, **WEBHOOK)
    joins = [body for body in callbacks(recorder) if body["event"] == "bot.joining"]
    again = [body for body in joins if body["bot_id"] == tally.meetings[1].bot_id]
    assert len(again) == 2
    assert again[0]["timestamp"] < again[1]["timestamp"]


async def test_deletion_has_no_custom_attributes() -> None:
    """data_deletion comes last, with deleted_objects."""
    async with recording_server() as recorder:
        await play(recorder.url, deletion=True, **POSTS_ONLY, **WEBHOOK)
    deletion = callbacks(recorder)[-1]
    assert (deletion["event"], deletion["status"], deletion["deleted_objects"]) == ("data_deletion", "success", 7)
    assert "custom_attributes" not in deletion


async def test_participant_event_shape() -> None:
    """Nested shape, the bot's id below data.bot, no bot_id, bot_status or status_code."""
    async with recording_server() as recorder:
        tally = await play(recorder.url, **POSTS_ONLY, **WEBHOOK)
    events = participants(recorder)
    assert [body["event"].rpartition(".")[2] for body in events] == ["join", "join", "join", "leave", "leave"]
    body = events[2]
    person = body["data"]["data"]["participant"]
    assert body == {
        "event": "participant_events.join",
        "timestamp": "2026-10-05T09:30:02.700Z",
        "data": {
            "data": {
                "action": "join",
                "participant": {**person, "name": "Unknown", "platform": "gmeet"},
                "timestamp": {"relative": 2.7, "absolute": "2026-10-05T09:30:02.700Z"},
            },
            "bot": {"id": tally.meetings[0].bot_id, "metadata": {}},
        },
        "custom_attributes": {"meeting": "incident-review-1", "team": "platform"},
    }
    assert set(person) == {"id", "name", "full_name", "platform"}
    assert person["id"].startswith("spaces/")
    assert person["full_name"] in speech.load().names["c"]


async def test_transcript_update_shape() -> None:
    """The keys of the captured AssemblyAI stream, no more; word objects likewise; is_final never turns true."""
    async with recording_server() as recorder:
        await play(recorder.url, **POSTS_ONLY, **WEBHOOK)
    keys = {
        "bot_id", "speakerName", "timestamp", "transcript", "utterance", "words", "is_final", "end_of_turn",
        "turn_is_formatted", "turn_order", "end_of_turn_confidence", "transcription_mode",
    }  # fmt: skip
    word_keys = {
        "word", "punctuated_word", "start", "end", "confidence", "speech_confidence", "speaker", "word_is_final",
    }  # fmt: skip
    for body in transcripts(recorder):
        assert set(body) == keys
        assert (body["is_final"], body["transcription_mode"]) == (False, "raw")
        assert body["timestamp"].endswith("Z")
        assert all(set(word) == word_keys for word in body["words"])
        assert body["transcript"] == " ".join(word["word"] for word in body["words"] if word["word_is_final"])
        assert sum(not word["word_is_final"] for word in body["words"]) <= 1


async def test_turns_grow_are_formatted_and_then_committed() -> None:
    """First "" with one interim word, then more, then `utterance`, then end_of_turn; the text is the script's."""
    async with recording_server() as recorder:
        tally = await play(recorder.url, **POSTS_ONLY, **WEBHOOK)
    turns = [list(updates) for _, updates in groupby(transcripts(recorder), key=lambda body: body["turn_order"])]
    script = speech.load().utterances
    assert len(turns) == len(script) == len(tally.meetings[0].turns)
    together = 0
    for updates, utterance, turn in zip(turns, script, tally.meetings[0].turns, strict=True):
        assert updates[0]["transcript"] == ""
        assert [word["word_is_final"] for word in updates[0]["words"]] == [False]
        assert [body["end_of_turn"] for body in updates] == [False] * (len(updates) - 1) + [True]
        formatted = [index for index, body in enumerate(updates) if body["utterance"]]
        assert [updates[index]["utterance"] for index in formatted] == [utterance.text]
        assert formatted[0] >= len(updates) - 2
        together += formatted[0] == len(updates) - 1
        commit = updates[-1]
        assert " ".join(word["punctuated_word"] for word in commit["words"]) == utterance.text
        assert (commit["transcript"], commit["speakerName"]) == (turn.raw_text, turn.speaker)
        assert turn.text == utterance.text
        assert commit["transcript"].split() == [
            "".join(letter for letter in word.lower() if letter.isalnum() or letter == "'")
            for word in utterance.text.split()
        ]
    assert 0 < together < len(turns)
    numbers = [updates[0]["turn_order"] for updates in turns]
    assert numbers == sorted(numbers)
    assert numbers[-1] - numbers[0] == len(turns)  # one gap


async def test_each_update_has_its_own_timestamp() -> None:
    """Updates of a bot rise in time, so that the vendor's duplicate key never merges two of them."""
    async with recording_server() as recorder:
        await play(recorder.url, **POSTS_ONLY, **WEBHOOK)
    stamps = [body["timestamp"] for body in transcripts(recorder)]
    assert stamps == sorted(set(stamps))


async def test_interim_words_are_replaced() -> None:
    """A long word stands there by its beginning first, and another end time becomes final."""
    async with recording_server() as recorder:
        await play(recorder.url, **POSTS_ONLY, **WEBHOOK)
    interims = [word for body in transcripts(recorder) for word in body["words"] if not word["word_is_final"]]
    finals = {word["start"]: word for body in transcripts(recorder) for word in body["words"] if word["word_is_final"]}
    assert any(finals[word["start"]]["word"] != word["word"] for word in interims)
    assert any(finals[word["start"]]["end"] != word["end"] for word in interims)


async def test_audio_is_the_whole_sound_tagged_with_who_speaks() -> None:
    """ready, then frames of 1,920 bytes of PCM that add up to the meeting, then close 1000."""
    async with recording_server() as recorder:
        tally = await play(recorder.url, **WEBHOOK)
    meeting, [connection] = tally.meetings[0], recorder.of("audio")
    assert connection.texts == [{"type": "ready", "bot_id": meeting.bot_id, "message": "Bot is ready"}]
    assert isinstance(connection.messages[0], str)
    frames = [split_frame(frame) for frame in connection.binary]
    assert {len(pcm) for _, _, pcm in frames} == {1920}
    assert b"".join(pcm for _, _, pcm in frames) == speech.load().pcm
    assert meeting.audio_s == meeting.audio_span_s == speech.load().duration_s
    assert connection.close_code == 1000
    spoken = [name for name, _ in groupby(name for _, name, _ in frames if name not in ("NoSpeaker", ""))]
    assert spoken == [turn.speaker for turn in meeting.turns]
    assert frames[0][:2] == ("", "NoSpeaker")
    assert frames[-1][:2] == ("", "")
    assert all(identity.startswith("spaces/") for identity, name, _ in frames if name in spoken)


async def test_sockets_follow_from_the_url_and_keep_its_query() -> None:
    """/{bot_id}/{channel} behind the path, ws for http, the token's query kept; explicit URLs win."""
    async with recording_server() as recorder:
        tally = await play(f"{recorder.url}?token=t0k", **SOCKET)
        await play(recorder.url, channels={"callback": f"{recorder.url}?only=callbacks"}, **POSTS_ONLY, **WEBHOOK)
    bot_id = tally.meetings[0].bot_id
    paths = {connection.path for connection in recorder.connections[:4]}
    assert paths == {f"/hooks/main/{bot_id}/{name}?token=t0k" for name in ("audio", "video", "control", "transcript")}
    assert {post.path for post in recorder.posts if "only" in post.path} == {"/hooks/main?only=callbacks"}
    secure = Channels.derive("https://example.org/x/?t=1").of("b")
    assert (secure.callback, secure.audio) == ("https://example.org/x/?t=1", "wss://example.org/x/b/audio?t=1")


@pytest.mark.parametrize("url", ["ftp://example.org/x", "127.0.0.1:8080", "http:///x"])
def test_urls_that_name_no_http_host_are_refused(url: str) -> None:
    """Only http and https with a host."""
    with pytest.raises(ValueError, match="http"):
        Channels.derive(url)


def test_unknown_channels_are_refused() -> None:
    """A misspelt channel would go unnoticed otherwise."""
    with pytest.raises(ValueError, match="no such channel: vidoe"):
        Channels.derive("http://example.org", {"vidoe": "ws://example.org"})


async def test_control_socket_speaks_and_takes_commands() -> None:
    """ready, usermsg with a text of the meeting, interrupt; what the receiver orders is kept."""
    command = {"command": "sendmsg", "bot_id": "x", "message": "hello", "msg": "hello"}
    greetings = {"control": [json.dumps({"type": "ack", "message": "ok"}), json.dumps(command), "no json"]}
    async with recording_server(greeting=lambda channel: greetings.get(channel, [])) as recorder:
        tally = await play(recorder.url, **WEBHOOK)
    [connection] = recorder.of("control")
    ready, message, interrupt = connection.texts
    assert ready["type"] == "ready"
    assert set(message) == {"command", "message", "speakerName", "timestamp", "bot_id"}
    assert (message["command"], message["message"]) == ("usermsg", speech.load().utterances[3].text)
    assert interrupt == {"command": "interrupt"}
    assert tally.meetings[0].commands == [{"type": "ack", "message": "ok"}, command]
    assert connection.close_code == 1000


async def test_video_starts_pings_and_ends() -> None:
    """video_stream_start first, pieces that are the movie, pings that want their pong, video_stream_end last."""
    async with recording_server() as recorder:
        tally = await play(recorder.url, **WEBHOOK)
    [connection], bot_id = recorder.of("video"), tally.meetings[0].bot_id
    start, *pings, end = connection.texts
    assert connection.messages[0] == json.dumps(start)
    assert start == {
        "type": "video_stream_start", "bot_id": bot_id, "codec": "h264", "audio_codec": "aac", "container": "fmp4",
        "width": 320, "height": 180, "framerate": 10, "audio_sample_rate": 44100, "audio_bitrate": "24k",
    }  # fmt: skip
    movie = (resources.files("receiver.simulator") / "assets" / "camera.mp4").read_bytes()
    assert b"".join(connection.binary) == movie
    assert all(set(ping) == {"type", "bot_id", "seq", "sent_at_ms"} for ping in pings)
    assert [ping["seq"] for ping in pings] == list(range(1, len(pings) + 1))
    assert end == {"type": "video_stream_end", "bot_id": bot_id, "duration_seconds": 10.0}
    assert (tally.pings_sent, tally.pongs_received, tally.pongs_wrong) == (len(pings), len(pings), 0)
    assert tally.video_pieces_sent == len(connection.binary)


async def test_a_wrong_pong_is_noticed() -> None:
    """A pong has to echo seq and sent_at_ms."""
    wrong = json.dumps({"type": "video_latency_pong", "seq": 99, "sent_at_ms": 1, "server_received_at_ms": 1})
    async with recording_server(greeting=lambda channel: [wrong] if channel == "video" else []) as recorder:
        tally = await play(recorder.url, **WEBHOOK)
    assert (tally.pongs_wrong, tally.pongs_received) == (1, tally.pings_sent)


async def test_transcript_over_websocket_is_not_posted_too() -> None:
    """Same objects as text messages behind a ready; nothing of it by POST; alternate = every second meeting."""
    async with recording_server() as recorder:
        tally = await play(recorder.url, **SOCKET)
    [connection] = recorder.of("transcript")
    ready, *updates = connection.texts
    assert ready["type"] == "ready"
    assert not transcripts(recorder)
    assert [body["transcript"] for body in updates if body["end_of_turn"]] == [
        turn.raw_text for turn in tally.meetings[0].turns
    ]
    async with recording_server() as recorder:
        tally = await play(recorder.url, meetings=3, speed=0, **POSTS_ONLY)
    assert [meeting.transport for meeting in tally.meetings] == ["webhook", "websocket", "webhook"]


async def test_only_callbacks_are_signed() -> None:
    """X-MeetStream-Signature is sha256= and the HMAC of the raw body; other posts carry none."""
    async with recording_server() as recorder:
        await play(recorder.url, secret="whsec_zoë", **POSTS_ONLY, **WEBHOOK)
    for post in recorder.posts:
        signature = post.headers.get("x-meetstream-signature")
        if "bot_id" in post.json and "event" in post.json:
            assert signature == "sha256=" + hmac.new("whsec_zoë".encode(), post.body, hashlib.sha256).hexdigest()
            assert datetime.fromisoformat(post.headers["x-meetstream-timestamp"])
        else:
            assert signature is None


async def test_the_same_seed_gives_the_same_bytes() -> None:
    """Bot ids are UUIDs from the seed; bodies and their order repeat, with another seed they do not."""
    runs: list[tuple[list[str], list[bytes]]] = []
    for seed in (4, 4, 5):
        async with recording_server() as recorder:
            faults = {"duplicates", "reorder", "garbage"}
            tally = await play(recorder.url, meetings=2, seed=seed, faults=faults, **POSTS_ONLY, **WEBHOOK)
        runs.append(([meeting.bot_id for meeting in tally.meetings], sorted(post.body for post in recorder.posts)))
    assert runs[0] == runs[1]
    assert not set(runs[0][0]) & set(runs[2][0])
    assert all(uuid.UUID(bot_id).version == 4 for bot_id in runs[0][0])
    assert len(set(runs[0][0])) == 2


async def test_deliveries_of_one_bot_are_in_flight_together() -> None:
    """The vendor does not wait: an event after the call arrives while the one before it is unanswered."""

    def hold(recorder: Recorder, post: Post) -> bool:
        """The manifest gets no answer before the audio event has arrived."""
        arrived = {body["event"] for body in callbacks(recorder)}
        return post.json.get("event") == "manifest.completed" and "audio.processed" not in arrived

    async with recording_server(hold=hold) as recorder:
        tally = await play(recorder.url, **POSTS_ONLY, **WEBHOOK)
    assert tally.ok


async def test_spoken_lines_and_progress_are_reported() -> None:
    """on_spoken gets bot, speaker, text and time of each line in order; on_progress the states and sockets."""
    spoken: list[tuple[str, str, str, float]] = []
    progress: list[tuple[str, str]] = []
    async with recording_server() as recorder:
        tally = await play(
            recorder.url,
            on_spoken=lambda *line: spoken.append(line),
            on_progress=lambda *state: progress.append(state),
            **WEBHOOK,
        )
    meeting = tally.meetings[0]
    assert spoken == [(meeting.bot_id, turn.speaker, turn.text, turn.at_s) for turn in meeting.turns]
    states = [what for _, what in progress]
    assert states.index("bot.joining") < states.index("audio socket open") < states.index("audio socket closed")
    assert states[-1] == "bot.done"


async def test_counts_agree_with_what_arrived() -> None:
    """Accepted posts, their digests, frames and text messages are those that the other side has."""
    async with recording_server() as recorder:
        tally = await play(recorder.url, meetings=2, speed=0)
    digests = {delivery.digest for delivery in tally.accepted}
    assert digests == {hashlib.sha256(post.body).hexdigest() for post in recorder.posts}
    assert tally.posts_sent == tally.posts_accepted == tally.distinct_accepted == len(recorder.posts)
    assert tally.posts_sent == sum(meeting.posts_sent for meeting in tally.meetings)
    assert tally.frames_sent == sum(len(connection.binary) for connection in recorder.of("audio"))
    assert tally.text_messages_sent == sum(len(connection.texts) for connection in recorder.connections)
    assert tally.ok


@pytest.mark.parametrize(("status", "field"), [(401, "posts_refused"), (302, "posts_refused"), (503, "posts_failed")])
async def test_posts_are_tried_once_and_counted_by_answer(status: int, field: str) -> None:
    """The vendor does not send again: each body arrives once, whatever the answer."""
    async with recording_server(on_post=lambda post: status) as recorder:
        tally = await play(recorder.url, **POSTS_ONLY, **WEBHOOK)
    bodies = [post.body for post in recorder.posts]
    assert len(bodies) == len(set(bodies)) == tally.posts_sent == getattr(tally, field)
    assert not tally.accepted
    assert not tally.ok


async def test_nobody_there_is_counted_not_raised() -> None:
    """Connection errors are failures of posts and lost frames."""
    with socket.socket() as silent:  # has the port, so that nobody else gets it, and does not listen there
        silent.bind(("127.0.0.1", 0))
        url = f"http://127.0.0.1:{silent.getsockname()[1]}/hooks/main"
        tally = await play(url, speed=400, control=False, video=False)
    assert tally.posts_failed == tally.posts_sent > 100
    assert tally.frames_lost == len(speech.load().pcm) // 1920
    assert tally.sockets_unreachable >= 1


async def test_a_lost_socket_is_dialled_again_with_a_fresh_ready() -> None:
    """The other side goes away in mid-meeting: the bot comes back by itself; what it could not send is lost."""

    def leave_once(connection: Connection, socket: web.WebSocketResponse) -> bool:
        return not (connection is recorder.connections[0] and len(connection.messages) == 200)

    async with recording_server(on_message=leave_once) as recorder:
        tally = await play(recorder.url, control=False, video=False, **WEBHOOK)
    first, second = recorder.of("audio")
    assert second.texts == first.texts
    assert tally.sockets_lost == 1
    assert tally.frames_lost >= 25
    assert tally.frames_sent + tally.frames_lost == len(speech.load().pcm) // 1920
    assert second.close_code == 1000


async def test_a_refused_socket_is_given_up() -> None:
    """404 on a socket: one attempt, its frames are lost, the posts go on, and the tally is not ok."""
    async with recording_server(on_dial=lambda channel: 404 if channel == "audio" else 101) as recorder:
        tally = await play(recorder.url, **WEBHOOK)
    assert (tally.sockets_refused, tally.frames_sent) == (1, 0)
    assert tally.frames_lost == len(speech.load().pcm) // 1920
    assert tally.posts_accepted == tally.posts_sent
    assert not tally.ok


async def test_speed_sets_the_pace() -> None:
    """At 200 times the speed the meeting of half a minute takes its share of a second."""
    begun_s = time.monotonic()
    async with recording_server() as recorder:
        await play(recorder.url, speed=200, **POSTS_ONLY, transcript="webhook")
    assert time.monotonic() - begun_s >= speech.load().duration_s / 200


async def test_a_cancelled_play_leaves_what_was_counted() -> None:
    """Ctrl-C: the given tally holds what was sent until then, and the sockets are gone."""
    tally, reached = Tally(), asyncio.Event()
    async with recording_server() as recorder:
        task = asyncio.create_task(
            play(recorder.url, speed=1, tally=tally, on_progress=lambda bot, what: reached.set(), started=STARTED)
        )
        await asyncio.wait_for(reached.wait(), 10)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
    assert tally.posts_sent >= 1
    assert len(tally.meetings) == 1


def test_the_simulator_shares_no_code_with_the_decoders() -> None:
    """It would prove nothing otherwise: no import of vendors, records or events below the folder."""
    folder = Path(next(iter(receiver.simulator.__path__)))
    imported: set[str] = set()
    for module in folder.rglob("*.py"):
        for node in ast.walk(ast.parse(module.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Import):
                imported.update(alias.name for alias in node.names)
            elif isinstance(node, ast.ImportFrom):
                imported.add(node.module or "")
    ours = {name for name in imported if name.split(".")[0] in ("receiver", "sinks")}
    assert ours
    assert all(name.startswith("receiver.simulator") for name in ours)
