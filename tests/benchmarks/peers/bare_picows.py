"""A ceiling: picows on uvloop, reads frames and does nothing with them."""

import asyncio
import sys

import uvloop
from picows import WSFrame, WSListener, WSTransport, WSUpgradeRequest, ws_create_server


class Reader(WSListener):
    """One stream."""

    def on_ws_frame(self, transport: WSTransport, frame: WSFrame) -> None:
        frame.get_payload_as_memoryview()


async def main() -> None:
    """Serve until killed."""

    def listener(request: WSUpgradeRequest) -> WSListener:
        return Reader()

    server = await ws_create_server(listener, "127.0.0.1", int(sys.argv[1]))
    async with server:
        await asyncio.Event().wait()


if __name__ == "__main__":
    uvloop.run(main())
