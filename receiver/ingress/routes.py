"""The routes of the one port, and how errors are answered."""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass

from aiohttp import HttpVersion11, web

from receiver.errors import NotFound, Overloaded, ReceiverError, TooManyAttempts, Unauthorized
from receiver.ingress.answers import RETRY_AFTER_S, sentence
from receiver.ingress.doors import Doors
from receiver.ingress.http import Deliveries
from receiver.ingress.limits import Attempts
from receiver.ingress.ops import Ops
from receiver.ingress.websocket import Sockets

Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]


@dataclass
class Front:
    """What answers on the one port. ``leaving``: each answer is the last of its connection."""

    deliveries: Deliveries
    sockets: Sockets
    ops: Ops
    leaving: bool = False


def build_app(
    front: Front, doors: Doors, attempts: Attempts, max_body_bytes: int, add_more: Callable[[web.Application], None]
) -> web.Application:
    """Operators' paths by name, and those that ``add_more`` adds; every other path is a vendor's."""
    deliveries, sockets, ops = front.deliveries, front.sockets, front.ops

    def answer(request: web.Request, error: ReceiverError) -> web.Response:
        if isinstance(error, Unauthorized) and attempts.failed(request.remote):
            error = TooManyAttempts("no valid token or signature, and too many tries without one")
        return _answer(error)

    @web.middleware
    async def answer_errors(request: web.Request, handler: Handler) -> web.StreamResponse:
        """Every error is one JSON sentence with the right status."""
        if request.protocol is not None:
            doors.head_seen(request.protocol)
        try:
            response = await handler(request)
        except ReceiverError as error:
            response = answer(request, error)
        except web.HTTPException as error:
            headers = {"Allow": error.headers["Allow"]} if "Allow" in error.headers else {}
            text = f"{request.method} is not allowed here; deliveries are POST" if error.status == 405 else error.text
            response = _sentence(text or error.reason, error.status, headers)
        if front.leaving:
            response.force_close()
        return response

    def own(handler: Handler) -> Handler:
        """Only for as long as this process has the journal."""

        async def answer_own(request: web.Request) -> web.StreamResponse:
            if ops.replaced:
                raise Overloaded("another process has taken over: ask again on a new connection")
            return await handler(request)

        return answer_own

    async def deliver(request: web.Request) -> web.StreamResponse:
        if request.headers.get("Upgrade", "").lower() == "websocket":
            return await sockets.handle(request)
        return await deliveries.handle(request)

    async def admit_first(request: web.Request) -> web.StreamResponse | None:
        """``Expect: 100-continue``: no body is asked for that will not be taken."""
        doors.head_seen(request.protocol)
        try:
            deliveries.admit(request)
        except ReceiverError as error:
            return answer(request, error)
        await go_on(request)
        return None

    async def go_on(request: web.Request) -> None:
        """What else is expected is no reason to refuse anything; before HTTP/1.1 nobody knows a 100."""
        doors.head_seen(request.protocol)
        asked = request.headers.get("Expect", "").lower() == "100-continue" and request.version >= HttpVersion11
        if asked and request.transport is not None:
            request.transport.write(b"HTTP/1.1 100 Continue\r\n\r\n")

    app = web.Application(client_max_size=max_body_bytes, middlewares=[answer_errors])
    for path, ask in (("/healthz", ops.healthz), ("/readyz", ops.readyz), ("/metrics", own(ops.metrics))):
        app.router.add_get(path, ask, expect_handler=go_on)
    for path, order in (
        ("/api/send", ops.send), ("/api/dial", ops.dial), ("/api/dial/end", ops.hang_up),
        ("/api/reload", ops.reload), (r"/api/quarantine/{sequence:\d{1,18}}/retry", ops.retry),
        ("/api/dead/retry", ops.orders.retry), ("/api/dead/drop", ops.orders.drop), ("/api/replay", ops.orders.replay),
        ("/api/fetch", ops.orders.fetch),
    ):  # fmt: skip
        app.router.add_post(path, own(order), expect_handler=go_on)
    add_more(app)
    app.router.add_route("*", "/{path:.*}", deliver, expect_handler=admit_first)
    return app


def _answer(error: ReceiverError) -> web.Response:
    headers = {"Retry-After": RETRY_AFTER_S} if error.retryable else {}
    response = _sentence(str(error), error.status, headers)
    if isinstance(error, (Unauthorized, TooManyAttempts, NotFound)):
        response.force_close()  # a stranger's connection is not kept for him
    return response


def _sentence(text: str, status: int, headers: dict[str, str]) -> web.Response:
    return web.Response(body=sentence(text), status=status, headers={"Content-Type": "application/json", **headers})
