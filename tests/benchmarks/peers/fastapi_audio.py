"""FastAPI on uvicorn: a WebSocket route that appends what comes to a file a connection."""

import sys
from pathlib import Path

import uvicorn
from fastapi import FastAPI, WebSocket, WebSocketDisconnect

app = FastAPI()
folder = Path(sys.argv[2])


@app.websocket("/meetstream/default/{bot}/audio")
async def take(socket: WebSocket, bot: str) -> None:
    """One stream."""
    await socket.accept()
    with (folder / f"{bot}.pcm").open("ab") as file:
        try:
            while True:
                file.write(await socket.receive_bytes())
        except WebSocketDisconnect:
            return


if __name__ == "__main__":
    uvicorn.run(
        app, port=int(sys.argv[1]), loop="uvloop", ws="websockets", access_log=False, log_level="warning",
        ws_per_message_deflate=False,
    )  # fmt: skip
