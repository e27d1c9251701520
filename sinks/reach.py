"""Whether a far side can be reached at all: TCP and TLS, nothing sent."""

import asyncio
import ssl

from sinks.base import SinkNotConnected


async def reach(host: str, port: int, timeout_s: float, *, secure: bool) -> None:
    """Connect and let go again. Raises ``SinkNotConnected``, naming host and port."""
    place = f"{host}:{port}"
    # reading the certificates takes a while
    tls = await asyncio.to_thread(ssl.create_default_context) if secure else None
    try:
        async with asyncio.timeout(timeout_s):
            _, writer = await asyncio.open_connection(host, port, ssl=tls)
    except TimeoutError:
        raise SinkNotConnected(f"{place} does not answer within {timeout_s:g} s") from None
    except (OSError, ValueError) as error:
        raise SinkNotConnected(f"cannot connect to {place}: {error}") from error
    writer.transport.abort()  # a TLS goodbye would wait for the other side's
