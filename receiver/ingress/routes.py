"""The routes of the one port, and how errors are answered."""

from collections.abc import Awaitable, Callable

import orjson
from aiohttp import web

from receiver.errors import NotFound, ReceiverError, TooManyAttempts, Unauthorized
from receiver.ingress.doors import Doors
from receiver.ingress.http import Deliveries
from receiver.ingress.limits import Attempts
from receiver.ingress.ops import Ops
from receiver.ingress.websocket import Sockets

_RETRY_AFTER_S = "5"


def build_app(
    deliveries: Deliveries, sockets: Sockets, ops: Ops, doors: Doors, attempts: Attempts, max_body_bytes: int
) -> web.Application:
    """Operators' paths by name; every other path is a vendor's."""

    def answer(request: web.Request, error: ReceiverError) -> web.Response:
        if isinstance(error, Unauthorized) and attempts.failed(request.remote):
            error = TooManyAttempts("no valid token or signature, and too many tries without one")
        return _answer(error)

    @web.middleware
    async def answer_errors(
        request: web.Request, handler: Callable[[web.Request], Awaitable[web.StreamResponse]]
    ) -> web.StreamResponse:
        """Every error is one JSON sentence with the right status."""
        if request.protocol is not None:
            doors.head_seen(request.protocol)
        try:
            return await handler(request)
        except ReceiverError as error:
            return answer(request, error)
        except web.HTTPException as error:
            headers = {"Allow": error.headers["Allow"]} if "Allow" in error.headers else {}
            text = f"{request.method} is not allowed here; deliveries are POST" if error.status == 405 else error.text
            return _sentence(text or error.reason, error.status, headers)

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
        if request.transport is not None:
            request.transport.write(b"HTTP/1.1 100 Continue\r\n\r\n")
        return None

    app = web.Application(client_max_size=max_body_bytes, middlewares=[answer_errors])
    app.router.add_get("/healthz", ops.healthz)
    app.router.add_get("/readyz", ops.readyz)
    app.router.add_get("/metrics", ops.metrics)
    app.router.add_post("/api/send", ops.send)
    app.router.add_post(r"/api/quarantine/{sequence:\d{1,18}}/retry", ops.retry)
    app.router.add_post("/api/dead/retry", ops.orders.retry)
    app.router.add_post("/api/dead/drop", ops.orders.drop)
    app.router.add_post("/api/replay", ops.orders.replay)
    app.router.add_route("*", "/{path:.*}", deliver, expect_handler=admit_first)
    return app


def _answer(error: ReceiverError) -> web.Response:
    headers = {"Retry-After": _RETRY_AFTER_S} if error.retryable else {}
    response = _sentence(str(error), error.status, headers)
    if isinstance(error, (Unauthorized, TooManyAttempts, NotFound)):
        response.force_close()  # a stranger's connection is not kept for him
    return response


def _sentence(text: str, status: int, headers: dict[str, str]) -> web.Response:
    body = orjson.dumps({"error": text}, option=orjson.OPT_APPEND_NEWLINE)
    return web.Response(body=body, status=status, headers={"Content-Type": "application/json", **headers})
