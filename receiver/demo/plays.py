"""What each vendor needs in a demonstration: how its endpoint is signed, what is registered, how a meeting is made."""

import base64
import secrets
from abc import ABC, abstractmethod
from typing import Any, ClassVar, Literal
from urllib.parse import quote

import aiohttp

from receiver.app import Receiver
from receiver.ingress.dial import DialOrder
from receiver.rest.base import Created, Options, VendorApi, Wiring
from receiver.rest.daily.options import RoomOptions
from receiver.rest.meemo.wire import MeetingOptions as MeemoOptions
from receiver.rest.meetstream import MeetStreamOptions
from receiver.rest.realtimekit.requests import MeetingOptions as RealtimeKitOptions
from receiver.rest.realtimekit.sfu import OutTrack, SfuApi
from receiver.rest.waterai.options import CreateOptions
from receiver.simulator.cloud import Cloud
from receiver.simulator.meetstream_cloud import MeetStreamCloud
from receiver.simulator.realtimekit import RealtimeKitCloud
from receiver.simulator.realtimekit.media import FRAME_S, RATE_HZ
from receiver.simulator.waterai import WaterAiCloud

_TITLE = "Incident review"


class Play(ABC):
    """One vendor. ``secret``: of its signatures, until ``register`` brings the vendor's own."""

    def __init__(self, cloud: Cloud, secret: str) -> None:
        self.cloud, self.secret = cloud, secret

    @property
    def sound_s(self) -> float:
        """How much sound was sent."""
        return 0.0

    def signatures(self, variable: str) -> dict[str, Any]:
        """What the endpoint's section says of signatures; ``variable`` has ``secret``."""
        return {"secret_env": [variable]}

    async def register(self, api: VendorApi, wiring: Wiring) -> None:  # noqa: B027 - most vendors need none
        """Have deliveries sent to ``wiring``, where that is not told with each meeting."""

    async def create(self, api: VendorApi, wiring: Wiring, receiver: Receiver, number: int) -> Created:
        """Create meeting ``number`` over the vendor's API; it is played from then on."""
        return await api.create(wiring, self.options(number))

    @abstractmethod
    def options(self, number: int) -> Options:
        """Of a meeting."""


class MeetStreamPlay(Play):
    """A bot with everything wired; only its callbacks are signed."""

    cloud: MeetStreamCloud

    def __init__(self, cloud: Cloud, secret: str) -> None:
        super().__init__(cloud, secret)
        self.cloud.secret = secret

    def options(self, number: int) -> Options:
        name = f"incident-review-{number + 1}"
        return MeetStreamOptions(
            meeting_link="https://meet.google.com/abc-defg-hij", custom_attributes={"meeting": name}
        )

    @property
    def sound_s(self) -> float:
        return sum(bot.tally.audio_s for bot in self.cloud.bots.values())


class RealtimeKitPlay(Play):
    """Webhooks of the app, signed with its published key; the server dials each meeting's agent socket, and the SFU
    dials the server with sound and pictures."""

    cloud: RealtimeKitCloud
    _TRACKS: ClassVar[tuple[tuple[str, str, Literal["pcm", "jpeg"]], ...]] = (
        ("microphone", "audio", "pcm"),
        ("camera", "video", "jpeg"),
    )

    def __init__(self, cloud: Cloud, secret: str) -> None:
        super().__init__(cloud, secret)
        self.cloud.wait_for_agent = True
        self._tracks = 0

    def signatures(self, variable: str) -> dict[str, Any]:
        return {"key_url": self.cloud.key_url}

    def options(self, number: int) -> Options:
        return RealtimeKitOptions(
            title=f"{_TITLE} {number + 1}", record_on_start=True, transcribe_on_end=True, summarize_on_end=True
        )

    async def create(self, api: VendorApi, wiring: Wiring, receiver: Receiver, number: int) -> Created:
        made = await super().create(api, wiring, receiver, number)
        known = self.cloud.credentials
        base = wiring.audio.removesuffix("/audio")
        tracks = [
            OutTrack(
                sessionId=made.subject,
                trackName=track,
                endpoint=f"{base}/{quote(f'{made.subject}:{track}', safe=':')}/{channel}",
                outputCodec=codec,
            )
            for track, channel, codec in self._TRACKS
        ]
        async with aiohttp.ClientSession() as client:
            sfu = SfuApi(known["sfu_app"], known["sfu_secret"], client, base_url=self.cloud.sfu_url)
            self._tracks += sum(not one.errorCode for one in await sfu.start(tracks))
        token = made.secrets["token"]
        await receiver.dialler.order(DialOrder(token=token, subject=made.subject, url=self.cloud.agent_url))
        return made

    @property
    def sound_s(self) -> float:
        frames = int(len(self.cloud.speech.pcm) // (2 * RATE_HZ * FRAME_S))
        return frames * FRAME_S * (self._tracks // len(self._TRACKS))


class DailyPlay(Play):
    """The domain's webhook, registered with a secret of ours."""

    def __init__(self, cloud: Cloud, secret: str) -> None:
        super().__init__(cloud, base64.b64encode(secrets.token_bytes(32)).decode())

    async def register(self, api: VendorApi, wiring: Wiring) -> None:
        await api.register(wiring, (), {"hmac": self.secret})

    def options(self, number: int) -> Options:
        return RoomOptions(name=f"incident-review-{number + 1}", enable_recording="cloud")


class WaterAiPlay(Play):
    """Nothing is signed, and the one URL stands in the vendor's dashboard."""

    cloud: WaterAiCloud

    def signatures(self, variable: str) -> dict[str, Any]:
        return {}

    async def register(self, api: VendorApi, wiring: Wiring) -> None:
        self.cloud.callback = wiring.callback

    def options(self, number: int) -> Options:
        return CreateOptions(person_name=f"Person {number + 1}", scenario_id=456, allow_transcription=True)


class MeemoPlay(Play):
    """A webhook of one organisation; the vendor tells its secret when it is registered."""

    async def register(self, api: VendorApi, wiring: Wiring) -> None:
        (made,) = await api.register(wiring, (), {"organization_ids": [1]})
        self.secret = made.secret

    def options(self, number: int) -> Options:
        link = "https://meet.example.com/incident-review"
        return MeemoOptions(organization_id=1, title=f"{_TITLE} {number + 1}", bot_meeting_url=link)


PLAYS: dict[str, type[Play]] = {
    "meetstream": MeetStreamPlay,
    "realtimekit": RealtimeKitPlay,
    "daily": DailyPlay,
    "waterai": WaterAiPlay,
    "meemo": MeemoPlay,
}
