"""What a conformance suite's server does, in little, for the echo clients of all languages.

It serves the routes that an echo client asks for (`examples/echo_client`) on a free port, and prints
`ok NAME` or `not ok NAME: why` for each case that a client has gone through.
"""

from __future__ import annotations

import sys
from collections.abc import Callable
from urllib.parse import parse_qs, urlsplit

import talkws
from checks import expect, expect_end
from endpoint import Endpoint, Failure
from payloads import FRAGMENTED, FRAGMENTED_BINARY, NON_ASCII, REASON, mebibyte, pieces
from talkws_peer import Adapter

Case = Callable[[Endpoint], None]


def echo(*messages: str | bytes) -> Case:
    def case(client: Endpoint) -> None:
        for message in messages:
            client.send(message)
        for message in messages:
            expect(client, message)
        client.close(1000)
        expect_end(client, 1000)

    return case


def fragments(client: Endpoint) -> None:
    pongs = []

    def ping() -> None:
        pongs.append(client.ping(b"between"))

    client.send_parts(pieces(FRAGMENTED.encode(), ping), is_text=True)
    client.send_parts(pieces(FRAGMENTED_BINARY), is_text=False)
    expect(client, FRAGMENTED)
    expect(client, FRAGMENTED_BINARY)
    if not pongs[0]():
        raise Failure("no pong with the payload of the ping")


def close(client: Endpoint) -> None:
    client.close(4001, REASON)
    expect_end(client, 4001)


CASES = {
    "empty messages": echo("", b""),
    "short messages": echo("Hello", bytes([0, 1, 0x80, 0xFF]), NON_ASCII),
    "1 MiB": echo(mebibyte(), bytes(2**20)),
    "fragments": fragments,
    "close with 4001": close,
}


def answer(ws: talkws.ServerConnection) -> None:
    url = urlsplit(ws.request.path)
    if url.path == "/getCaseCount":
        ws.send(str(len(CASES)))
    elif url.path == "/runCase":
        number = int(parse_qs(url.query)["case"][0])
        name = list(CASES)[number - 1]
        try:
            CASES[name](Adapter(ws))
        # Whatever it is, it is a reason to fail.
        except Exception as error:  # noqa: BLE001
            print(f"not ok {name}: {error!r}", flush=True)
        else:
            print(f"ok {name}", flush=True)


def main() -> int:
    with talkws.serve(answer, "127.0.0.1", 0) as server:
        print(f"Listening on ws://127.0.0.1:{server.port}", flush=True)
        server.serve_forever()
    return 0


if __name__ == "__main__":
    sys.exit(main())
