"""A client that is measured: takes commands, a line each, and answers each with a line.

    open PORT CONNECTIONS text|binary SIZE    ok
    run SECONDS                               done ROUND-TRIPS SECONDS PROCESSOR-SECONDS
    close                                     ok

or with `failed WHY`. Each connection has one message in flight, text as `str` and binary as
`bytes`, and each program does it in the way that is natural for its library. The last answer on
each connection in each run is compared with what was sent.
"""

from __future__ import annotations

import asyncio
import sys
import time
from abc import ABC, abstractmethod
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from dataclasses import dataclass
from typing import Any

Message = str | bytes

WORDS = "The quick brown fox jumps over the lazy dog, and again. "


def make_message(kind: str, size: int) -> Message:
    """ASCII, as most of what is sent is, so that the library is measured and not Python's codec."""
    if kind == "text":
        return (WORDS * (size // len(WORDS) + 1))[:size]
    return bytes(i * 7 % 251 for i in range(251)) * (size // 251) + bytes(size % 251)


class Client(ABC):
    """How a library's client makes round trips on its connections."""

    @abstractmethod
    def open(self, url: str, connections: int, message: Message) -> None: ...

    @abstractmethod
    def run(self, until: float) -> tuple[int, list[Message]]:
        """Go on until `perf_counter` says `until`: how many round trips, and the last answers."""

    @abstractmethod
    def close(self) -> None: ...


@dataclass
class Link:
    """A connection of a library whose calls block."""

    send: Callable[[Any], object]
    receive: Callable[[], Any]


class BlockingClient(Client):
    """One thread, which with many connections sends on all of them, then receives on all.

    Small messages go through many times faster so than with a thread for each connection, whatever
    the library. From `threads_from` bytes on, threads are the faster way for this one.
    """

    def __init__(
        self,
        connect: Callable[[str, ExitStack], Link],
        threads_from: int = sys.maxsize,
    ) -> None:
        self._connect = connect
        self._threads_from = threads_from

    def open(self, url: str, connections: int, message: Message) -> None:
        self._message = message
        with ExitStack() as stack:
            self._links = [self._connect(url, stack) for _ in range(connections)]
            self._pool = stack.enter_context(ThreadPoolExecutor(connections))
            self._stack = stack.pop_all()

    def run(self, until: float) -> tuple[int, list[Message]]:
        if len(self._links) == 1:
            return self._run_one(until)
        if len(self._message) >= self._threads_from:
            return self._run_threads(until)
        message, links, rounds = self._message, self._links, 0
        while True:
            for link in links:
                link.send(message)
            answers = [link.receive() for link in links]
            rounds += 1
            if time.perf_counter() >= until:
                return rounds * len(links), answers

    def _run_one(self, until: float) -> tuple[int, list[Message]]:
        count, answer = self._exchange(self._links[0], until)
        return count, [answer]

    def _run_threads(self, until: float) -> tuple[int, list[Message]]:
        done = list(self._pool.map(lambda l: self._exchange(l, until), self._links))
        return sum(count for count, _ in done), [answer for _, answer in done]

    def _exchange(self, link: Link, until: float) -> tuple[int, Message]:
        message, send, receive, count = self._message, link.send, link.receive, 0
        while True:
            send(message)
            answer: Message = receive()
            count += 1
            if time.perf_counter() >= until:
                return count, answer

    def close(self) -> None:
        self._stack.close()


class AsyncioClient(Client):
    """A task for each connection."""

    def __init__(self, new_event_loop: Callable[[], asyncio.AbstractEventLoop]) -> None:
        self._loop = new_event_loop()
        asyncio.set_event_loop(self._loop)

    async def open_session(self) -> None:
        """For what a library shares between connections."""

    @abstractmethod
    async def connect(self, url: str) -> Any: ...

    @abstractmethod
    async def exchange(
        self, connection: Any, message: Message, until: float
    ) -> tuple[int, Message]:
        """Go on until `perf_counter` says `until`: how many round trips, and the last answer."""

    @abstractmethod
    async def disconnect(self, connection: Any) -> None: ...

    async def close_session(self) -> None:
        pass

    def open(self, url: str, connections: int, message: Message) -> None:
        async def connect_all() -> list[Any]:
            await self.open_session()
            return [await self.connect(url) for _ in range(connections)]

        self._message = message
        self._connections = self._loop.run_until_complete(connect_all())

    def run(self, until: float) -> tuple[int, list[Message]]:
        async def exchange_all() -> list[tuple[int, Message]]:
            if len(self._connections) == 1:
                only = self._connections[0]
                return [await self.exchange(only, self._message, until)]
            return await asyncio.gather(
                *(self.exchange(c, self._message, until) for c in self._connections)
            )

        done = self._loop.run_until_complete(exchange_all())
        return sum(count for count, _ in done), [answer for _, answer in done]

    def close(self) -> None:
        async def disconnect_all() -> None:
            await asyncio.gather(*(self.disconnect(c) for c in self._connections))
            await self.close_session()

        self._loop.run_until_complete(disconnect_all())


class Conversation:
    """The commands to a client, and its answers."""

    def __init__(self, client: Client) -> None:
        self._client = client

    def answer(self, command: str) -> str:
        match command.split():
            case ["open", port, connections, kind, size]:
                self._message = make_message(kind, int(size))
                self._client.open(
                    f"ws://127.0.0.1:{port}/", int(connections), self._message
                )
                return "ok"
            case ["run", seconds]:
                return self._run(float(seconds))
            case ["close"]:
                self._client.close()
                return "ok"
        return f"failed unknown command {command!r}"

    def _run(self, span: float) -> str:
        spent, started = time.process_time(), time.perf_counter()
        count, answers = self._client.run(started + span)
        took, spent = time.perf_counter() - started, time.process_time() - spent
        for answer in answers:
            if type(answer) is not type(self._message) or answer != self._message:
                return "failed an answer is not what was sent"
        return f"done {count} {took:.9f} {spent:.9f}"


def converse(client: Client) -> int:
    """Take commands until there are no more."""
    conversation = Conversation(client)
    for command in sys.stdin:
        try:
            answer = conversation.answer(command)
        # Whatever it is: who measures is told, and reports it.
        except Exception as error:  # noqa: BLE001
            answer = " ".join(f"failed {type(error).__name__}: {error}".split())
        print(answer, flush=True)
    return 0
