"""What the hello and echo programs must do, one by one; `demo` and `autobahn` ask more of them."""

from __future__ import annotations

from contextlib import closing

import wire
from program import running
from scenes import Example, expect, expect_end, expect_lines


def hello(server: Example, client: Example) -> None:
    with server.serving("hello_server", "ws://localhost:0/hello") as url:
        expect(url.endswith("/hello"), True)
        with running("hello_client", client.command("hello_client", url)) as program:
            expect_end(program)
            expect_lines(program, "Received: Hello from server!")
            expect(program.remaining_lines(), [])


def echo_server(server: Example, name: str = "echo_server") -> None:
    with server.serving(name, "0") as url, wire.client(url) as stream:
        for opcode, payload in (
            (wire.TEXT, b"Hello"),
            (wire.BINARY, bytes(range(256)) * 300),
            (wire.TEXT, b""),
            (wire.CLOSE, b"\x03\xe8"),
        ):
            wire.send_frame(stream, opcode, payload, mask=True)
            expect(wire.receive_frame(stream), (opcode, payload))


def echo_client(client: Example) -> None:
    """Against a conformance suite with a single case."""
    with closing(wire.Server()) as server:
        command = client.command("echo_client", server.url.rstrip("/"), "me")
        with running("echo_client", command) as program:
            with server.upgrade("/getCaseCount") as stream:
                wire.send_frame(stream, wire.TEXT, b"1", mask=False)
            with server.upgrade("/runCase?case=1&agent=me") as stream:
                wire.send_frame(stream, wire.BINARY, b"Hello", mask=False)
                expect(wire.receive_frame(stream), (wire.BINARY, b"Hello"))
            with server.upgrade("/updateReports?agent=me") as stream:
                wire.send_frame(stream, wire.CLOSE, b"\x03\xe8", mask=False)
                expect(wire.receive_frame(stream), (wire.CLOSE, b"\x03\xe8"))
            expect_end(program)
