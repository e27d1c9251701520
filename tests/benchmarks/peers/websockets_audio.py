"""A server of the websockets library that appends what comes to a file a connection."""

import asyncio
import sys
from pathlib import Path

import uvloop
from websockets.asyncio.server import ServerConnection, serve

folder = Path(sys.argv[2])


async def take(socket: ServerConnection) -> None:
    """One stream."""
    bot = socket.request.path.split("/")[3] if socket.request else "unknown"
    with (folder / f"{bot}.pcm").open("ab") as file:
        async for message in socket:
            file.write(message if isinstance(message, bytes) else message.encode())


async def main() -> None:
    """Serve until killed."""
    async with serve(take, "127.0.0.1", int(sys.argv[1]), compression=None):
        await asyncio.Event().wait()


if __name__ == "__main__":
    uvloop.run(main())
