"""``receiver send``: a command to a bot, over the control socket that it opened."""

import argparse
import base64
import sys
import wave
from pathlib import Path
from typing import Any

import aiohttp

from receiver.commands.arguments import add_server_options
from receiver.commands.client import live_server, post, shown_token
from receiver.errors import Malformed
from receiver.settings import load

#: command -> the argument that the words on the command line fill
_MAIN_ARGUMENT = {
    "sendmsg": "message",
    "sendchat": "text",
    "sendimg_url": "img_url",
    "sendimg": "img",
    "sendaudio": "pcm",
}
_BOT_RATE_HZ = 48_000
_EPILOG = """\
examples:
  receiver send BOT sendmsg "Hello, I take notes."
  receiver send BOT sendchat "On it." role=assistant is_final=true
  receiver send BOT interrupt
  receiver send BOT sendimg picture.png
  receiver send BOT sendimg_url https://example.org/picture.png
  receiver send BOT sendaudio greeting.wav        any mono or stereo 16-bit WAV; resampled to 48 kHz
  receiver send BOT sendmsg "Hello" --url https://hooks.example.org --token-env RECEIVER_ADMIN_TOKEN

BOT is the bot id. The bot must have opened its control socket (socket_connection_url) on this receiver.
exit status: 0 sent, 1 no such bot or no server, 65 a wrong argument, 77 no permission
"""


def register(subparsers: Any) -> None:
    """Add ``send``."""
    parser = subparsers.add_parser(
        "send",
        help="send a command to a bot over its control socket",
        epilog=_EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("bot", metavar="BOT", help="bot id")
    parser.add_argument(
        "command", metavar="COMMAND", help="sendmsg, sendchat, interrupt, sendimg, sendimg_url, sendaudio"
    )
    parser.add_argument("words", nargs="*", metavar="TEXT|FILE|KEY=VALUE", help="what to send, and further arguments")
    add_server_options(parser)
    parser.add_argument("--url", help="a server elsewhere, e.g. https://hooks.example.org")
    parser.add_argument("--token-env", metavar="NAME", help="environment variable with that server's admin token")
    parser.set_defaults(run=run)


def run(arguments: argparse.Namespace) -> int:
    """Send one command."""
    settings = load(arguments.config, data_dir=arguments.data, need_secrets=False)
    token = shown_token(arguments.token_env) or settings.admin_token
    runtime = live_server(settings.data_dir, arguments.url, token)
    if runtime is None:
        return 1
    order = {
        "bot": arguments.bot,
        "command": arguments.command,
        "arguments": command_arguments(arguments.command, arguments.words),
    }
    try:
        status, answer = post(runtime, "/api/send", order, timeout_s=600)
    except (aiohttp.ClientError, TimeoutError, ValueError) as error:
        sys.stderr.write(f"receiver: no answer from {runtime.url}: {error}\n")
        return 1
    if status != 200:
        sys.stderr.write(f"receiver: {answer.get('error', answer)}\n")
        return {400: 65, 401: 77}.get(status, 1)
    sys.stdout.write(f"sent {answer['sent']} message{'s' if answer['sent'] != 1 else ''} to {arguments.bot}\n")
    return 0


def command_arguments(command: str, words: list[str]) -> dict[str, Any]:
    """Arguments of a command from words: ``key=value`` pairs by name, the rest to the command's main argument."""
    main = _MAIN_ARGUMENT.get(command)
    named: dict[str, Any] = {}
    rest = []
    for word in words:
        key, equals, value = word.partition("=")
        if equals and key in ("role", "is_final", "action"):
            named[key] = {"true": True, "false": False}.get(value.lower(), value) if key == "is_final" else value
        else:
            rest.append(word)
    if not rest:
        return named
    if main is None:
        raise Malformed(f"{command} takes no text", command)
    named[main] = _read(command, " ".join(rest))
    return named


def _read(command: str, text: str) -> str:
    try:
        if command == "sendimg":
            return base64.b64encode(Path(text).read_bytes()).decode()
        if command == "sendaudio":
            return base64.b64encode(_bot_pcm(Path(text))).decode()
    except (OSError, wave.Error, EOFError) as error:
        raise Malformed(f"cannot read {text}: {error}", command) from error
    return text


def _bot_pcm(path: Path) -> bytes:
    """Samples of a WAV file as a bot wants them: signed 16 bit, mono, 48 kHz."""
    import numpy as np
    import soxr

    with wave.open(str(path)) as file:
        if file.getsampwidth() != 2:
            raise Malformed(f"{path} has {file.getsampwidth() * 8} bits a sample, expected 16", "sendaudio")
        rate_hz, channels = file.getframerate(), file.getnchannels()
        samples = np.frombuffer(file.readframes(file.getnframes()), dtype="<i2").reshape(-1, channels)
    mono = samples.mean(axis=1).astype(np.float32) / 32768
    resampled = soxr.resample(mono, rate_hz, _BOT_RATE_HZ)
    return bytes((np.clip(resampled, -1, 1) * 32767).astype("<i2").tobytes())
