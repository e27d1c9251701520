"""``receiver pcm``: the live sound of a bot as raw samples on standard output, for a pipe."""

import argparse
import asyncio
import os
import signal
import sys
import threading
from typing import Any
from urllib.parse import quote

import aiohttp

from receiver.commands.arguments import add_server_options
from receiver.commands.client import ELSEWHERE, live_server, shown_token
from receiver.secretfiles import Runtime
from receiver.settings import load

_EPILOG = """\
examples:
  receiver pcm BOT | ffplay -f s16le -ar 16000 -ac 1 -nodisp -    listen
  receiver pcm BOT --rate 8000 | recogniser                       what a recogniser wants
  receiver pcm BOT --speaker "Ada Lovelace" > ada.pcm             one speaker, the others are silence
  receiver pcm BOT --wait 600 --url https://hooks.example.org --token-env RECEIVER_READER_TOKEN | recogniser

BOT is the bot or meeting id. Samples are signed 16 bit, little-endian; two channels are interleaved. It ends when the
stream has ended for good, or when whoever reads the pipe has gone.
exit status: 0 ended, 1 no such bot or no server, 2 standard output is a terminal, 65 a wrong argument, 77 no permission
"""


def register(subparsers: Any) -> None:
    """Add ``pcm``."""
    parser = subparsers.add_parser(
        "pcm",
        help="write the live sound of a bot to a pipe",
        epilog=_EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("bot", metavar="BOT", help="bot or meeting id")
    parser.add_argument("--rate", metavar="HZ", help="8000 to 48000; default 16000")
    parser.add_argument("--channels", metavar="N", help="1 or 2; default 1")
    parser.add_argument("--speaker", help="only this one, by id or name")
    parser.add_argument("--track", help="only this track, where the vendor has several")
    parser.add_argument("--wait", metavar="SECONDS", help="for a bot that is not there yet")
    add_server_options(parser)
    parser.add_argument("--url", help="a server elsewhere, e.g. https://hooks.example.org")
    parser.add_argument("--token-env", metavar="NAME", help="environment variable with that server's reader token")
    parser.set_defaults(run=run)


def run(arguments: argparse.Namespace) -> int:
    """Write until the end."""
    if sys.stdout.isatty():
        sys.stderr.write(
            "receiver: standard output is a terminal, and samples are no text; put a pipe behind it, for instance\n"
            f"receiver:   receiver pcm {arguments.bot} | ffplay -f s16le -ar 16000 -ac 1 -nodisp -\n"
        )
        return 2
    settings = load(arguments.config, data_dir=arguments.data, need_secrets=False)
    token = shown_token(arguments.token_env) or settings.admin_token
    runtime = live_server(settings.data_dir, arguments.url, token)
    if runtime is None:
        return 1
    wish = {name: getattr(arguments, name) for name in ("rate", "channels", "speaker", "track", "wait")}
    query = {name: value for name, value in wish.items() if value is not None}
    try:
        return asyncio.run(_copy(runtime, f"/live/audio/{quote(arguments.bot, safe='')}.pcm", query))
    except BrokenPipeError:  # whoever read has enough
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 0
    except (aiohttp.ClientPayloadError, aiohttp.ServerDisconnectedError):
        sys.stderr.write("receiver: the server has ended, or the connection to it\n")
    except (aiohttp.ClientError, TimeoutError, ValueError) as error:
        sys.stderr.write(f"receiver: no answer from {runtime.url}: {error}\n")
    return 1


async def _copy(runtime: Runtime, path: str, query: dict[str, str]) -> int:
    """From the server to standard output; the exit status. A pipe that takes nothing holds up nobody but itself."""
    if threading.current_thread() is threading.main_thread():
        # asyncio's own would wait for a write that may wait for ever
        signal.signal(signal.SIGINT, signal.default_int_handler)
    out = sys.stdout.buffer
    headers = {"Authorization": f"Bearer {runtime.token}"} if runtime.token else {}
    # found through a private file, it is this machine's own: its certificate names the public host, not this one
    verify = runtime.pid == ELSEWHERE
    timeout = aiohttp.ClientTimeout(total=None, sock_connect=30)
    async with (
        aiohttp.ClientSession(timeout=timeout, headers=headers) as client,
        client.get(runtime.url + path, params=query, ssl=verify, allow_redirects=False) as reply,
    ):
        if reply.status != 200:
            sys.stderr.write(f"receiver: {await _sentence(reply)}\n")
            return {400: 65, 401: 77, 403: 77}.get(reply.status, 1)
        async for part in reply.content.iter_any():
            out.write(part)
            out.flush()
    return 0


async def _sentence(reply: aiohttp.ClientResponse) -> str:
    """What the server says instead of sound."""
    try:
        answer = await reply.json(content_type=None)
    except ValueError:
        answer = None
    told = answer.get("error") if isinstance(answer, dict) else None
    return str(told or f"status {reply.status}: no receiver, or one without live audio")
