"""The registry of stand-ins: vendors whose whole service can be played. A new one is a module and one line here.

Each is loaded when it is wanted: they bring sound, pictures and keys with them.
"""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from importlib import import_module
from typing import Any, Protocol

from receiver.simulator.cloud import Cloud, CloudTally


class PlayMeetings(Protocol):
    """Pushes meetings at one endpoint without any REST call. Raises ``ValueError`` on what the vendor has not."""

    def __call__(
        self,
        url: str,
        *,
        meetings: int,
        speed: float,
        seed: int,
        faults: frozenset[str],
        secret: str,
        progress: Callable[[str, str], None],
    ) -> Awaitable[CloudTally]: ...


@dataclass(frozen=True, slots=True, kw_only=True)
class Access:
    """What opens a stand-in's API: the three facts of an account. ``repr`` does not show the key."""

    key: str
    id: str = ""
    base_url: str

    def __repr__(self) -> str:
        return f"Access({self.base_url})"


def _by_key(cloud: Any) -> Access:
    return Access(key=cloud.key, base_url=cloud.url)


def _by_client(cloud: Any) -> Access:
    return Access(key=cloud.client_secret, id=cloud.client_id, base_url=cloud.url)


def _by_app(cloud: Any) -> Access:
    told = cloud.credentials
    return Access(key=told["token"], id=f"{told['account']}/{told['app']}", base_url=cloud.url)


@dataclass(frozen=True, slots=True, kw_only=True)
class StandIn:
    """Where a vendor's stand-in is. ``secret``: the argument that takes what it signs with; empty: it has none.

    ``callback``: the argument that takes the one URL of its dashboard; empty: it is told over the API.
    """

    module: str
    cloud: str
    access: Callable[[Any], Access] = _by_key
    secret: str = ""
    callback: str = ""

    def make(self, **common: Any) -> Cloud:
        """The service, with the arguments of :class:`Cloud` and its own."""
        made: Cloud = getattr(import_module(self.module), self.cloud)(**common)
        return made

    @property
    def play_meetings(self) -> PlayMeetings:
        """Of its module."""
        play: PlayMeetings = import_module(self.module).play_meetings
        return play


STAND_INS: dict[str, StandIn] = {
    "meetstream": StandIn(module="receiver.simulator.meetstream_cloud", cloud="MeetStreamCloud", secret="secret"),  # noqa: S106
    "realtimekit": StandIn(
        module="receiver.simulator.realtimekit", cloud="RealtimeKitCloud", access=_by_app, secret="private_key"  # noqa: S106
    ),
    "daily": StandIn(module="receiver.simulator.daily", cloud="DailyCloud"),
    "waterai": StandIn(module="receiver.simulator.waterai", cloud="WaterAiCloud", callback="callback"),
    "meemo": StandIn(module="receiver.simulator.meemo", cloud="MeemoCloud", access=_by_client),
}  # fmt: skip
