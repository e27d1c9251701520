"""Live sound over plain HTTP, from a real journal through a real server to a real client."""

import asyncio
import json
import subprocess
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import aiohttp
import numpy as np
import pytest

from receiver.audio.pcm import Samples
from receiver.audio.timeline import NS_PER_S
from tests.live_audio.chunks import noise, tone
from tests.live_audio.house import LONG_S, RATE_HZ, House, held_up, house, place_of, samples_of, spoken
from tests.live_audio.tools import needs_ffmpeg
from tests.support import until


async def fetch(url: str, most_bytes: int = 1 << 30) -> bytes:
    """The body, to its end or as much as is wanted."""
    got = bytearray()
    async with aiohttp.ClientSession() as client, client.get(url) as reply:
        assert reply.status == 200, await reply.text()
        async for part in reply.content.iter_any():
            got += part
            if len(got) >= most_bytes:
                break
    return bytes(got)


async def refused(url: str) -> tuple[int, str]:
    """Status and sentence of an answer that is no sound."""
    async with aiohttp.ClientSession() as client, client.get(url, allow_redirects=False) as reply:
        text = await reply.text()
        return reply.status, json.loads(text)["error"] if text.startswith("{") else text


async def output_of(*command: str) -> tuple[bytes, bytes]:
    """What a program wrote to its standard output and error."""
    pipe = subprocess.PIPE
    process = await asyncio.create_subprocess_exec(*command, stdin=subprocess.DEVNULL, stdout=pipe, stderr=pipe)
    out, err = await asyncio.wait_for(process.communicate(), 30)
    assert process.returncode == 0, err
    return out, err


async def listened(here: House) -> None:
    """Somebody has begun to listen."""
    await until(lambda: here.feeds._feeds, "a listener")


async def heard(folder: Path, sound: Samples, after: Callable[[], None] = lambda: None) -> Samples:
    """What a listener got who had waited for a bot that says ``sound`` and goes; ``after`` is called between."""
    async with house(folder) as here, asyncio.TaskGroup() as tasks:
        listener = tasks.create_task(fetch(here.at("bot-7.pcm", wait=30)))
        await listened(here)
        bot = here.bot()
        await bot.opens()
        await bot.speaks(sound)
        after()
        await bot.closes()
        return samples_of(await asyncio.wait_for(listener, 30))


async def test_a_listener_hears_what_is_said_sample_by_sample(tmp_path: Path) -> None:
    """From the begin of a stream that he waited for, to its end; then the answer ends."""
    sound = noise(RATE_HZ // 2)
    got = await heard(tmp_path, sound)
    at = place_of(sound, got)
    assert at >= 0 and np.array_equal(got[at : at + len(sound)], sound)
    assert not got[:at].any() and not got[at + len(sound) :].any()


async def test_the_first_listener_misses_nothing_while_numpy_loads(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """He has his place from when he asked: what is said before the server can send sound is sent as soon as it can."""
    spoke = threading.Event()

    def slow(name: str) -> None:
        assert spoke.wait(30)

    monkeypatch.setattr("receiver.live.audio.http.import_module", slow)
    sound = noise(RATE_HZ // 2)
    got = await heard(tmp_path, sound, spoke.set)
    assert np.array_equal(spoken(got), spoken(sound))


async def test_silence_is_sent_in_real_time_while_nobody_speaks(tmp_path: Path) -> None:
    """Also while the connection is gone and may come back."""
    async with house(tmp_path, resume_s=60) as here:
        bot = here.bot()
        await bot.opens()
        begin_s = time.monotonic()
        assert await fetch(here.at("bot-7.pcm"), RATE_HZ * 2) >= bytes(RATE_HZ * 2)
        await bot.closes()
        assert not any(await fetch(here.at("bot-7.pcm"), RATE_HZ))
        assert 1.5 <= time.monotonic() - begin_s < 15


async def test_a_stream_that_comes_back_goes_on_on_its_clock(tmp_path: Path) -> None:
    """The gap that the new connection tells is silence of that length."""
    first, second = noise(3200, seed=1), noise(3200, seed=2)
    async with house(tmp_path, resume_s=60) as here, asyncio.TaskGroup() as tasks:
        listener = tasks.create_task(fetch(here.at("bot-7.pcm", wait=30)))
        await listened(here)
        bot = here.bot()
        await bot.opens()
        await bot.speaks(first)
        await bot.closes()
        await until(lambda: not here.feeds.lives["bot-7"].open, "the closing was seen")
        await asyncio.sleep(0.3)
        await bot.opens(resumes=True)
        bot.said += 8 * RATE_HZ
        await bot.speaks(second)
        here.feeds._resume_s = 0.2
        await bot.closes()
        got = samples_of(await asyncio.wait_for(listener, 30))
    assert place_of(second, got) - place_of(first, got) == 3200 + 8 * RATE_HZ


@pytest.mark.parametrize(("form", "width"), [("pcm", 2), ("mulaw", 1), ("wav", 2)])
@pytest.mark.parametrize(("rate_hz", "channels"), [(8000, 1), (11_025, 1), (48_000, 2)])
async def test_rate_channels_and_form(tmp_path: Path, form: str, width: int, rate_hz: int, channels: int) -> None:
    """A second is a second in each of them, as loud as it was said."""
    async with house(tmp_path) as here, asyncio.TaskGroup() as tasks:
        url = here.at(f"bot-7.{form}", wait=30, rate=rate_hz, channels=channels)
        listener = tasks.create_task(fetch(url))
        await listened(here)
        bot = here.bot()
        begin_s = time.monotonic()
        await bot.opens()
        await bot.speaks(tone(440, RATE_HZ, 1))
        await bot.closes()
        got = await asyncio.wait_for(listener, 30)
        took_s = time.monotonic() - begin_s
    if form == "wav":
        assert got[:4] == b"RIFF"
        got = got[44:]
    assert len(got) % (width * channels) == 0
    assert 0.99 <= len(got) / width / channels / rate_hz <= 1.1 + took_s
    if form != "mulaw":
        loud = samples_of(got, channels).astype(float)
        assert abs(np.abs(loud).max() - 10_000) < 200 and np.array_equal(loud[:, 0], loud[:, -1])


async def test_one_speaker_or_one_track(tmp_path: Path) -> None:
    """The others are silence."""
    ada, bob = noise(3200, seed=1), noise(3200, seed=2)
    async with house(tmp_path) as here, asyncio.TaskGroup() as tasks:
        urls = [here.at("bot-7.pcm", wait=30, **wish) for wish in ({"speaker": "Ada"}, {"track": "b"}, {})]
        listeners = [tasks.create_task(fetch(url)) for url in urls]
        await until(lambda: here.feeds._feeds and here.feeds._feeds["bot-7"].listeners == 3, "three listeners")
        bot = here.bot()
        await bot.opens()
        await bot.speaks(ada, speaker="Ada", track="a", first_sample=None)
        await asyncio.sleep(0.3)  # she has spoken by then, also for who reads both at once
        await bot.speaks(bob, speaker="Bob", track="b", first_sample=None)
        await bot.closes()
        got = [samples_of(await asyncio.wait_for(listener, 30)) for listener in listeners]
    places = [(place_of(ada, one) >= 0, place_of(bob, one) >= 0) for one in got]
    assert places == [(True, False), (False, True), (True, True)]


@pytest.mark.parametrize(
    ("query", "named"),
    [
        ({"rate": 7999}, "rate"), ({"rate": 48_001}, "rate"), ({"rate": "fast"}, "rate"), ({"rate": "-8000"}, "rate"),
        ({"channels": 3}, "channels"), ({"channels": 0}, "channels"), ({"frame_ms": 9}, "frame_ms"),
        ({"frame_ms": 1001}, "frame_ms"), ({"rate": 11_025, "frame_ms": 10}, "frame_ms"), ({"wait": "a while"}, "wait"),
        ({"rate": "9" * 5000}, "rate"), ({"rate": "٨٠٠٠"}, "rate"),
    ],
)  # fmt: skip
async def test_a_wrong_parameter_is_400_and_named(tmp_path: Path, query: dict[str, Any], named: str) -> None:
    """With what is allowed."""
    async with house(tmp_path) as here:
        status, text = await refused(here.at(**query))
    assert status == 400 and text.endswith(f"(at {named})") and len(text) < 200


@pytest.mark.parametrize("name", ["bot-7.mp3", "bot-7", ".wav", "bot-8.wav", "a%2Fb.wav", "%FF.wav"])
async def test_what_is_not_there_is_404(tmp_path: Path, name: str) -> None:
    """Another form, another bot: at once, without ``wait``."""
    async with house(tmp_path) as here:
        await here.bot().opens()
        assert (await refused(here.at(name)))[0] == 404


async def test_waiting_ends_when_nothing_begins(tmp_path: Path) -> None:
    """After the seconds that were asked for."""
    async with house(tmp_path) as here:
        begin_s = time.monotonic()
        assert (await refused(here.at(wait=1)))[0] == 404
        assert 0.9 < time.monotonic() - begin_s < 20


async def test_a_bot_that_is_gone_for_good_is_404(tmp_path: Path) -> None:
    """When it may not come back any more."""
    async with house(tmp_path, resume_s=0.1) as here:
        bot = here.bot()
        await bot.opens()
        await until(lambda: here.feeds.is_known("bot-7"), "it is there")
        await bot.closes()
        await until(lambda: not here.feeds.is_known("bot-7"), "it is gone")
        assert (await refused(here.at()))[0] == 404


async def test_access_is_asked_for_first(tmp_path: Path) -> None:
    """Raised or returned; a stranger is not told which bots there are."""
    async with house(tmp_path) as here:
        assert await refused(here.at(token="wrong")) == (401, "this needs a reader token")
        assert (await refused(here.at(token="page", rate=1)))[0] == 302


async def test_ids_of_any_kind(tmp_path: Path) -> None:
    """A dot, a slash, a space, another script: percent-encoded in the path."""
    async with house(tmp_path) as here:
        for subject, quoted in (("a.b", "a.b"), ("a/b c", "a%2Fb%20c"), ("会议", "%E4%BC%9A%E8%AE%AE")):
            await here.bot(subject).opens()
            await until(lambda subject=subject: here.feeds.is_known(subject), "known")  # type: ignore[misc]
            assert not any(await fetch(here.at(f"{quoted}.pcm"), 100))


async def test_an_unknown_codec_is_silence_and_no_end(tmp_path: Path) -> None:
    """What comes after it is heard."""
    sound = noise(1600)
    async with house(tmp_path) as here, asyncio.TaskGroup() as tasks:
        listener = tasks.create_task(fetch(here.at("bot-7.pcm", wait=30)))
        await listened(here)
        bot = here.bot()
        await bot.opens()
        await bot.says(sound, codec="opus")
        await bot.says(sound)
        await bot.closes()
        assert place_of(sound, samples_of(await asyncio.wait_for(listener, 30))) >= 0


@pytest.mark.parametrize("tail_bytes", [100_000, 8 << 20])
async def test_a_slow_listener_hears_it_all_from_disk_and_holds_nobody_up(tmp_path: Path, tail_bytes: int) -> None:
    """What he has not taken is in no memory of ours: the feed and the journal's tail are far too small for it."""
    sound = noise(48_000 * LONG_S)
    async with house(tmp_path, max_behind_s=600, tail_bytes=tail_bytes) as here:
        bot = here.bot()
        await bot.opens()
        await until(lambda: here.feeds.is_known("bot-7"))
        async with held_up(here, rate=48_000) as content:
            feed = here.feeds._feeds["bot-7"]
            for start in range(0, len(sound), 48_000):
                await bot.says(sound[start : start + 48_000], rate_hz=48_000)
            await until(lambda: here.feeds.cursor == here.journal.head, "the feed has seen it all")
            assert feed._bytes <= 256 << 10 and feed.floor > here.journal.head - 3 * 5, "the feed is bounded"
            await bot.closes()
            heard = samples_of(await asyncio.wait_for(content.read(), 30))
    assert np.array_equal(spoken(heard), sound)


@pytest.mark.parametrize("why", ["late", "trimmed"])
async def test_one_who_is_too_far_behind_goes_on_with_now(tmp_path: Path, why: str) -> None:
    """Beyond the limit, or where the journal has let go of it: what he missed is silence, so his clock stays true."""
    limits = {} if why == "late" else {"segment_bytes": 1 << 20, "max_bytes": 2 << 20}
    said = tone(440, 48_000, 0.2)
    async with house(tmp_path, max_behind_s=60, tail_bytes=100_000, **limits) as here:
        bot = here.bot()
        await bot.opens()
        await until(lambda: here.feeds.is_known("bot-7"))
        begin_s = time.monotonic()
        async with held_up(here, rate=48_000) as content, asyncio.TaskGroup() as tasks:
            second = noise(48_000)
            for number in range(LONG_S):
                bot.age_ns = 120 * NS_PER_S if why == "late" and number > LONG_S // 2 else 0
                await bot.says(second, rate_hz=48_000)
            await here.journal.settle()
            if why == "trimmed":
                await here.journal.trim({}, {})
            reading = tasks.create_task(content.read())
            await here.all_heard()
            bot.age_ns = 0
            say_s = time.monotonic() - begin_s
            await bot.says(said, rate_hz=48_000)
            await bot.closes()
            got = samples_of(await asyncio.wait_for(reading, 30))
    at = place_of(said[100:], got)
    assert at >= 0, "what is said now is heard"
    assert len(got) < 48_000 * LONG_S, "something was left out"
    assert at / 48_000 >= say_s - 0.5, "and its place is that of its time"


async def test_the_end_of_the_server_cuts_the_answer_off(tmp_path: Path) -> None:
    """Nobody takes it for the end of the stream."""
    async with house(tmp_path) as here, aiohttp.ClientSession() as client:
        await here.bot().opens()
        async with client.get(here.at()) as reply:
            await reply.content.readexactly(44)
            here.feeds.close()
            with pytest.raises(aiohttp.ClientPayloadError):
                await asyncio.wait_for(reply.content.read(), 30)
        assert (await refused(here.at()))[0] == 503


async def test_listeners_leave_nothing_behind(tmp_path: Path) -> None:
    """When the last one has gone, only openings and closings are read."""
    async with house(tmp_path) as here:
        bot = here.bot()
        await bot.opens()
        await asyncio.gather(*(fetch(here.at(), 100) for _ in range(5)))
        await until(lambda: not here.feeds._feeds, "the feed is gone")
        assert not here.feeds._running


async def test_curl_hears_it(tmp_path: Path) -> None:
    """Without an option."""
    async with house(tmp_path) as here:
        sound = noise(3200)
        process = await asyncio.create_subprocess_exec(
            "curl", "-s", here.at("bot-7.pcm", wait=30), stdout=subprocess.PIPE
        )
        await listened(here)
        bot = here.bot()
        await bot.opens()
        await bot.speaks(sound)
        await bot.closes()
        out, _ = await asyncio.wait_for(process.communicate(), 30)
    assert process.returncode == 0 and place_of(sound, samples_of(out)) >= 0


@needs_ffmpeg
async def test_ffmpeg_hears_it(tmp_path: Path) -> None:
    """Three seconds of a tone: length and level as ffmpeg measures them."""
    async with house(tmp_path) as here:
        path = tmp_path / "out.wav"
        process = await asyncio.create_subprocess_exec(
            "ffmpeg",
            "-v",
            "error",
            "-i",
            here.at("bot-7.wav", wait=30),
            "-f",
            "wav",
            str(path),
            stdin=subprocess.DEVNULL,
        )
        await listened(here)
        bot = here.bot()
        begin_s = time.monotonic()
        await bot.opens()
        await bot.speaks(tone(440, 48_000, 3), 960, rate_hz=48_000)
        await bot.closes()
        assert await asyncio.wait_for(process.wait(), 30) == 0
        took_s = time.monotonic() - begin_s
    probe = ["ffprobe", "-v", "error", "-show_entries", "stream=duration,sample_rate,channels", "-of", "json"]
    told = json.loads((await output_of(*probe, str(path)))[0])["streams"][0]
    volume = ["ffmpeg", "-i", str(path), "-af", "volumedetect", "-f", "null", "-"]
    text = (await output_of(*volume))[1].decode()
    assert (told["sample_rate"], told["channels"]) == ("16000", 1) and 3.0 <= float(told["duration"]) < 3.1 + took_s
    level = float(text.split("max_volume:")[1].split("dB")[0])
    assert abs(level - 20 * np.log10(10_000 / 32_768)) < 0.3, level
