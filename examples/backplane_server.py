"""A chat on many machines: what one server hears, a broker tells to all of them.

python examples/backplane_server.py redis://localhost:6379 8080
python examples/backplane_server.py nats://localhost:4222 8081

Clients of either port hear each other. Needs `pip install redis` or `pip install nats-py`.
"""

from __future__ import annotations

import asyncio
import sys
import threading
from collections.abc import Callable
from typing import Any

import talkws

CHANNEL = "chat"
# Who is so slow that this much waits is closed with 1013, and may come back when it can.
BACKLOG = 256 * 1024


class Redis:
    """Redis pub/sub: one connection to publish, and one to subscribe."""

    def __init__(self, url: str, hear: Callable[[bytes], None]) -> None:
        import redis

        # Their types are not complete.
        client: type[Any] = redis.Redis
        self._redis = client.from_url(url)
        self._subscription = self._redis.pubsub(ignore_subscribe_messages=True)
        self._subscription.subscribe(CHANNEL)
        # Until it is answered, what others publish would be missed.
        while not self._subscription.subscribed:
            self._subscription.get_message(timeout=1)
        self._redis.ping()
        self._hear = hear
        threading.Thread(target=self._listen, daemon=True).start()

    def _listen(self) -> None:
        for message in self._subscription.listen():
            self._hear(message["data"])

    def publish(self, data: bytes) -> None:
        self._redis.publish(CHANNEL, data)


class Nats:
    """NATS, whose client is of asyncio: its loop has a thread of its own."""

    def __init__(self, url: str, hear: Callable[[bytes], None]) -> None:
        self._loop = asyncio.new_event_loop()
        threading.Thread(target=self._loop.run_forever, daemon=True).start()
        self._nats: Any = None
        self._wait(self._subscribe(url, hear))

    def _wait(self, coroutine: Any) -> None:
        asyncio.run_coroutine_threadsafe(coroutine, self._loop).result()

    async def _subscribe(self, url: str, hear: Callable[[bytes], None]) -> None:
        import nats

        async def on_message(message: Any) -> None:
            # It waits for nobody, so that the loop may do it.
            hear(message.data)

        self._nats = await nats.connect(url)
        await self._nats.subscribe(CHANNEL, cb=on_message)
        await self._nats.flush()

    def publish(self, data: bytes) -> None:
        self._wait(self._nats.publish(CHANNEL, data))


def main(broker: str, port: int) -> None:
    topics = talkws.Topics()

    def hear(data: bytes) -> None:
        """Tell those who are connected here what was said anywhere."""
        topics.publish(CHANNEL, talkws.Prepared(data, text=True))

    backplane = (Nats if broker.startswith("nats:") else Redis)(broker, hear)

    def chat(ws: talkws.ServerConnection) -> None:
        ws.set_backlog(BACKLOG, "close")
        topics.subscribe(CHANNEL, ws)
        ws.send("welcome")
        for message in ws:
            if isinstance(message, str):
                backplane.publish(message.encode())

    with talkws.serve(chat, "localhost", port) as server:
        print(f"Listening on {server.url}", flush=True)
        server.serve_forever()


if __name__ == "__main__":
    main(sys.argv[1], int(sys.argv[2]))
