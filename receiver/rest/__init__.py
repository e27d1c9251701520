"""The registry of REST clients: what we ask vendors for. A new vendor is one module and one function here.

Importing this package imports no client: the module of a vendor is loaded when somebody wants to ask that vendor.
"""

from collections.abc import Callable

import aiohttp

from receiver.errors import VendorCannot
from receiver.rest.base import VendorApi
from receiver.settings import Account


def _meetstream() -> type[VendorApi]:
    from receiver.rest.meetstream import MeetStreamApi

    return MeetStreamApi


def _realtimekit() -> type[VendorApi]:
    from receiver.rest.realtimekit import RealtimeKitApi

    return RealtimeKitApi


def _daily() -> type[VendorApi]:
    from receiver.rest.daily import DailyApi

    return DailyApi


def _waterai() -> type[VendorApi]:
    from receiver.rest.waterai import WaterAiApi

    return WaterAiApi


def _meemo() -> type[VendorApi]:
    from receiver.rest.meemo import MeemoApi

    return MeemoApi


#: by vendor's name, what gives the class of its client
APIS: dict[str, Callable[[], type[VendorApi]]] = {
    "meetstream": _meetstream,
    "realtimekit": _realtimekit,
    "daily": _daily,
    "waterai": _waterai,
    "meemo": _meemo,
}


def api_of(account: Account, client: aiohttp.ClientSession) -> VendorApi:
    """The client of an account. Raises ``VendorCannot`` for a vendor without one."""
    load = APIS.get(account.vendor)
    if load is None:
        raise VendorCannot(f"{account.vendor} has no REST client here; known: {', '.join(sorted(APIS))}")
    return load()(account, client)
