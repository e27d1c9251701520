"""The registry of REST clients: what we ask vendors for. A new vendor is one module and one line here."""

import aiohttp

from receiver.errors import VendorCannot
from receiver.rest.base import VendorApi
from receiver.rest.daily import DailyApi
from receiver.rest.meemo import MeemoApi
from receiver.rest.meetstream import MeetStreamApi
from receiver.rest.realtimekit import RealtimeKitApi
from receiver.rest.waterai import WaterAiApi
from receiver.settings import Account

APIS: dict[str, type[VendorApi]] = {
    "meetstream": MeetStreamApi,
    "realtimekit": RealtimeKitApi,
    "daily": DailyApi,
    "waterai": WaterAiApi,
    "meemo": MeemoApi,
}


def api_of(account: Account, client: aiohttp.ClientSession) -> VendorApi:
    """The client of an account. Raises ``VendorCannot`` for a vendor without one."""
    try:
        made = APIS[account.vendor]
    except KeyError:
        raise VendorCannot(f"{account.vendor} has no REST client here; known: {', '.join(sorted(APIS))}") from None
    return made(account, client)
