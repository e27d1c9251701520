"""Meetings pushed at one endpoint without any REST call: webhooks, and each meeting's sound and pictures by socket."""

import random
from collections.abc import Callable, Collection
from urllib.parse import quote, urlsplit, urlunsplit

from receiver.simulator.cloud import CloudTally
from receiver.simulator.realtimekit.adapters import Accidents, AdapterRefused, Codec
from receiver.simulator.realtimekit.checks import EVENTS
from receiver.simulator.realtimekit.cloud import RealtimeKitCloud

_SOCKETS = {"http": "ws", "https": "wss"}
#: track, channel of the URL, codec
_TRACKS: tuple[tuple[str, str, Codec], ...] = (("microphone", "audio", "pcm"), ("camera", "video", "jpeg"))
#: numbers of packets that never go out, where something is to go wrong
_LOST = frozenset(range(300, 303))


async def play_meetings(
    url: str,
    *,
    meetings: int = 1,
    speed: float = 1.0,
    seed: int = 0,
    faults: Collection[str] = frozenset(),
    secret: str = "",
    progress: Callable[[str, str], None] = lambda subject, what: None,
    media: bool = True,
) -> CloudTally:
    """Push ``meetings`` meetings, at the same time, to ``url``: the receiver's endpoint, http or https, with its token.

    Every second meeting's webhooks have Dyte's form. Sockets go to the same place as ``ws`` or ``wss`` with
    ``/{meeting}:{track}/audio`` or ``/video`` behind the path; with faults they lose packets and the connection once.
    ``secret``: a private key in PEM to sign with; empty: one that nobody knows. Raises ``ValueError``.
    """
    parts = urlsplit(url)
    if parts.scheme not in _SOCKETS or not parts.hostname:
        raise ValueError("the URL must start with http:// or https:// and name a host")
    rng = random.Random(f"accidents {seed}")  # noqa: S311 - accidents, not secrets
    accidents = Accidents(cut=rng.randrange(350, 600), lost=_LOST) if faults else Accidents()
    cloud = RealtimeKitCloud(
        speed=speed, seed=seed, faults=faults, progress=progress, autoplay=False, private_key=secret,
        accidents=accidents,
    )  # fmt: skip
    async with cloud.serve():
        cloud.add_webhook(url, EVENTS)
        for index in range(meetings):
            meeting_id = cloud.add_meeting(f"Incident review {index + 1}", "dyte" if index % 2 else "realtimekit")
            cloud.hold(meeting_id, cloud.forms[meeting_id])
            for track, channel, codec in _TRACKS if media else ():
                path = f"{parts.path.rstrip('/')}/{quote(f'{meeting_id}:{track}', safe=':')}/{channel}"
                try:
                    await cloud.sfu.start(
                        urlunsplit((_SOCKETS[parts.scheme], parts.netloc, path, parts.query, "")), track, codec
                    )
                except AdapterRefused as refusal:
                    progress(meeting_id, f"{channel} socket: {refusal}")
        await cloud.idle()
    return cloud.tally
