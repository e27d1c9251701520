"""Webhooks of the app. They are signed with the vendor's own key: there is no secret to be told.

Source: RealtimeKit, webhooks; REST API reference (2026).
"""

from typing import Any

from receiver.rest.realtimekit.access import Access, id_of, unwrapped
from receiver.rest.realtimekit.answers import WebhookInfo
from receiver.rest.realtimekit.requests import WebhookBody, WebhookChange


class WebhookCalls:
    """The calls below ``webhooks``. Every one raises ``VendorError`` and what derives from it."""

    access: Access

    async def create_webhook(self, webhook: WebhookBody) -> WebhookInfo:
        """Have events delivered."""
        return await self.access.ask("POST", "webhooks", WebhookInfo, body=webhook)

    async def all_webhooks(self) -> list[WebhookInfo]:
        """Every webhook of the app, in one page."""
        return await self.access.ask("GET", "webhooks", list[WebhookInfo])

    async def event_types(self) -> list[Any]:
        """What a webhook can be told of, as the vendor lists it."""
        reply = await self.access.call("GET", "webhooks/all")
        return unwrapped(reply, list[Any])

    async def webhook(self, webhook_id: str) -> WebhookInfo:
        """One of them."""
        return await self.access.ask("GET", f"webhooks/{id_of(webhook_id, 'webhook')}", WebhookInfo)

    async def update_webhook(self, webhook_id: str, change: WebhookChange) -> WebhookInfo:
        """Change what ``change`` says, and nothing else."""
        return await self.access.ask("PATCH", f"webhooks/{id_of(webhook_id, 'webhook')}", WebhookInfo, body=change)

    async def replace_webhook(self, webhook_id: str, webhook: WebhookBody) -> WebhookInfo:
        """Put ``webhook`` in place of what there was."""
        return await self.access.ask("PUT", f"webhooks/{id_of(webhook_id, 'webhook')}", WebhookInfo, body=webhook)

    async def delete_webhook(self, webhook_id: str) -> None:
        """Deliver no more."""
        await self.access.call("DELETE", f"webhooks/{id_of(webhook_id, 'webhook')}")
