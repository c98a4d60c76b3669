"""`python -m talkws`: in a pipe, as a server, and what it says when it cannot be."""

from __future__ import annotations

import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager

import pytest
import talkws
from peers import CLOSE, FIN, PATIENCE, TEXT, RawServer, frame, in_thread

COMMAND = [sys.executable, "-m", "talkws"]

IN_ORDER = "Connection closed: 1000 (normal closure)."


def run(
    *arguments: str, given: bytes = b"", stdout: int = subprocess.PIPE
) -> tuple[int, bytes, list[str]]:
    """Exit status, stdout and the lines of stderr of a program that ends by itself."""
    done = subprocess.run(
        [*COMMAND, *arguments],
        input=given,
        stdout=stdout,
        stderr=subprocess.PIPE,
        timeout=PATIENCE,
        check=False,
    )
    return done.returncode, done.stdout, done.stderr.decode().splitlines()


@contextmanager
def running(*arguments: str) -> Iterator[subprocess.Popen[bytes]]:
    program = subprocess.Popen(
        [*COMMAND, *arguments],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        bufsize=0,
    )
    with program:
        try:
            yield program
        finally:
            program.kill()


def said(program: subprocess.Popen[bytes]) -> str:
    """The next line on stderr."""
    assert program.stderr is not None
    return program.stderr.readline().decode().rstrip("\n")


def shown(program: subprocess.Popen[bytes]) -> str:
    """The next line on stdout."""
    assert program.stdout is not None
    return program.stdout.readline().decode().rstrip("\n")


def give(program: subprocess.Popen[bytes], data: bytes) -> None:
    assert program.stdin is not None
    program.stdin.write(data)


@pytest.fixture
def echo(listener: talkws.Listener) -> Iterator[str]:
    """The URL of a server that sends back what it gets."""

    def serve() -> None:
        for pending in listener:
            ws = pending.upgrade()
            for message in ws:
                ws.send(message)

    serving = in_thread(serve)
    yield listener.url
    listener.close()
    serving.result(PATIENCE)


def accept(listener: talkws.Listener) -> talkws.ServerConnection:
    return listener.accept(PATIENCE).upgrade()


def test_a_pipe_gets_messages_on_stdout_and_the_rest_on_stderr(echo: str) -> None:
    status, out, err = run(echo, given=b"hi\n\nlast")
    assert (status, out) == (0, b"< hi\n< \n< last\n")
    assert err == [f"Connected to {echo}.", IN_ORDER]


def test_no_line_of_many_is_lost(echo: str) -> None:
    lines = [f"line {number}" for number in range(20_000)]
    status, out, _ = run(echo, given="\n".join(lines).encode())
    assert status == 0
    assert out.decode().splitlines() == [f"< {line}" for line in lines]


def test_a_peer_cannot_control_the_terminal(echo: str) -> None:
    """Nor reorder what is read; what only looks foreign stays."""
    _, out, _ = run(echo, given="\x1b[2J\r\x07\x9b\u202eü世👩\u200d👩".encode())
    assert out.decode() == "< \\x1b[2J\\r\\x07\\x9b\\u202eü世👩\u200d👩\n"


def test_binary_is_shown_in_hexadecimal(echo: str) -> None:
    status, out, _ = run(echo, "--binary", given=b"\x00\xff\nabc\n")
    assert (status, out) == (0, b"< (binary) 00ff\n< (binary) 616263\n")


def test_raw_messages_are_for_programs(echo: str) -> None:
    assert run(echo, "--raw", given=b"\x1b\n")[1] == b"\x1b\n"
    assert run(echo, "--raw", "--binary", given=b"\xff\n\x00\n")[1] == b"\xff\x00"


def test_a_line_that_is_no_text_is_named_and_the_others_are_sent(echo: str) -> None:
    status, out, err = run(echo, given=b"a\n\xff\nb\n")
    assert (status, out) == (1, b"< a\n< b\n")
    assert err[1] == "Line 2 is not UTF-8; it was not sent."


def test_the_end_of_the_input_waits_for_the_servers_close(
    listener: talkws.Listener,
) -> None:
    server = in_thread(lambda: accept(listener))
    with running("--wait", "inf", listener.url) as program:
        ws = server.result(PATIENCE)
        assert program.stdin is not None
        program.stdin.close()
        ws.send("after the end")
        assert shown(program) == "< after the end"
        ws.close(1001, "late")
        assert said(program) == f"Connected to {listener.url}."
        assert said(program) == "Connection closed: 1001 (going away) late."
        assert program.wait(PATIENCE) == 0


def test_without_a_wait_the_end_of_the_input_closes_at_once(
    raw_server: RawServer,
) -> None:
    """A server that never stops to talk would otherwise be listened to for ever."""
    upgraded = in_thread(raw_server.accept_and_upgrade)
    with running("--wait", "0", raw_server.url) as program:
        with upgraded.result(PATIENCE) as peer:
            give(program, b"hi")
            assert program.stdin is not None
            program.stdin.close()
            assert peer.read_frame() == (FIN | TEXT, b"hi")
            assert peer.read_frame() == (FIN | CLOSE, b"\x03\xe8")
            peer.send(frame(FIN | CLOSE, b"\x03\xe8"))
        assert program.wait(PATIENCE) == 0


@pytest.mark.parametrize(
    ("code", "status", "words"),
    [
        (1000, 0, "1000 (normal closure)"),
        (1011, 1, "1011 (internal error) a\\x1bb"),
        (4000, 1, "4000 (private use)"),
    ],
)
def test_the_servers_close_ends_it_while_the_input_goes_on(
    listener: talkws.Listener, code: int, status: int, words: str
) -> None:
    server = in_thread(lambda: accept(listener))
    with running(listener.url) as program:
        ws = server.result(PATIENCE)
        give(program, b"hi\n")
        assert ws.recv(PATIENCE) == "hi"
        ws.close(code, "a\x1bb" if code == 1011 else "")
        said(program)
        assert said(program) == f"Connection closed: {words}."
        assert program.wait(PATIENCE) == status


def test_a_lost_connection_is_a_failure(raw_server: RawServer) -> None:
    upgraded = in_thread(raw_server.accept_and_upgrade)
    with running(raw_server.url) as program:
        upgraded.result(PATIENCE).stream.close()
        said(program)
        assert said(program).startswith("Connection closed: 1006 (abnormal closure): ")
        assert program.wait(PATIENCE) == 1


def test_a_reader_that_goes_ends_it_quietly(listener: talkws.Listener) -> None:
    server = in_thread(lambda: accept(listener))
    with running(listener.url) as program:
        ws = server.result(PATIENCE)
        assert program.stdout is not None
        program.stdout.close()
        ws.send("for nobody")
        with pytest.raises(talkws.ConnectionClosedOK):
            ws.recv(PATIENCE)
        assert said(program) == f"Connected to {listener.url}."
        assert said(program) == IN_ORDER
        assert program.wait(PATIENCE) == 0


def test_ctrl_c_closes_in_order(listener: talkws.Listener) -> None:
    server = in_thread(lambda: accept(listener))
    with running(listener.url) as program:
        ws = server.result(PATIENCE)
        assert said(program) == f"Connected to {listener.url}."
        program.send_signal(signal.SIGINT)
        with pytest.raises(talkws.ConnectionClosedOK):
            ws.recv(PATIENCE)
        assert said(program) == IN_ORDER
        assert said(program) == ""
        assert program.wait(PATIENCE) == 130


def test_ctrl_c_ends_the_dialling(raw_server: RawServer) -> None:
    with running("--timeout", "inf", raw_server.url) as program:
        with raw_server.accept() as peer:
            peer.read_head()
            program.send_signal(signal.SIGINT)
            assert program.wait(PATIENCE) == 130
            assert said(program) == ""


def test_what_is_asked_for_is_in_the_request(raw_server: RawServer) -> None:
    options = ["--header", "X-A: 1", "--header", "X-A:2", "--origin", "http://a"]
    with running(*options, "--subprotocol=x", "--subprotocol=y", raw_server.url):
        with raw_server.accept() as peer:
            head = peer.read_head().lower()
    for line in (
        "x-a: 1\r\nx-a: 2",
        "origin: http://a",
        "sec-websocket-protocol: x, y",
    ):
        assert f"\r\n{line}\r\n" in head


def test_a_failure_to_connect_is_one_sentence(raw_server: RawServer) -> None:
    raw_server.socket.close()
    url = raw_server.url
    status, out, err = run(url)
    assert (status, out, len(err)) == (1, b"", 1)
    assert err[0].startswith(f"Failed to connect to {url}: connecting to 127.0.0.1")
    assert err[0].endswith(": Connection refused.")


def test_a_refusal_is_one_sentence(raw_server: RawServer) -> None:
    answer = b"HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\n\r\n"
    answering = in_thread(lambda: raw_server.accept_and_answer(answer))
    status, _, err = run(raw_server.url)
    answering.result(PATIENCE).stream.close()
    assert (status, len(err)) == (1, 1)
    assert err[0].startswith(
        f"Failed to connect to {raw_server.url}: server answered 404"
    )


@pytest.mark.parametrize(
    "arguments",
    [
        (),
        ("no-uri",),
        ("ws://127.0.0.1:1/", "--listen"),
        ("ws://127.0.0.1:1/", "--header", "no colon"),
        ("ws://127.0.0.1:1/", "--header", "Upgrade: x"),
        ("ws://127.0.0.1:1/", "--subprotocol", "a b"),
        ("ws://127.0.0.1:1/", "--timeout", "-1"),
        ("ws://127.0.0.1:1/", "--wait", "nan"),
        ("ws://127.0.0.1:1/", "--origin", "http://a", "--origin", "http://b"),
        ("--listen", "no-url"),
    ],
    ids=" ".join,
)
def test_bad_usage_is_told(arguments: tuple[str, ...]) -> None:
    status, out, err = run(*arguments)
    assert (status, out) == (2, b"")
    assert err[0].startswith("usage: python -m talkws ")
    assert err[-1].startswith("python -m talkws: error: ")


def test_version_and_help() -> None:
    assert run("--version")[:2] == (0, f"talkws {talkws.__version__}\n".encode())
    status, out, _ = run("--help")
    assert status == 0
    for option in ("--listen", "--wait", "exit status"):
        assert option in out.decode()


@contextmanager
def serving(*arguments: str) -> Iterator[tuple[subprocess.Popen[bytes], str]]:
    """A server of the command line, and its URL."""
    with running("--listen", "ws://127.0.0.1:0", *arguments) as program:
        first = said(program)
        assert first.startswith("Listening on ws://127.0.0.1:")
        yield program, first.split()[-1].rstrip(".")


def test_a_server_talks_to_all_its_clients() -> None:
    with serving() as (program, url):
        first, second = talkws.connect(url), talkws.connect(url)
        for number, client in ((1, first), (2, second)):
            host, port = client.local_address
            assert said(program) == f"Client {number} connected from {host}:{port}."
        first.send("from one")
        assert shown(program) == "1 < from one"
        second.send(b"\xff")
        assert shown(program) == "2 < (binary) ff"
        give(program, b"to all\n")
        assert first.recv(PATIENCE) == second.recv(PATIENCE) == "to all"
        first.close(1001, "bye")
        assert said(program) == "Client 1 disconnected: 1001 (going away) bye."
        give(program, b"to the other\n")
        assert second.recv(PATIENCE) == "to the other"
        program.send_signal(signal.SIGINT)
        with pytest.raises(talkws.ConnectionClosedOK):
            second.recv(PATIENCE)
        assert second.close_code == 1001
        assert program.wait(PATIENCE) == 130


def test_a_servers_lines_wait_for_a_client() -> None:
    with serving("--wait", "0", "--subprotocol", "x", "--header", "X-A: 1") as (
        program,
        url,
    ):
        give(program, b"first\nsecond\n")
        with talkws.connect(url, subprotocols=["x"]) as client:
            assert client.recv(PATIENCE) == "first"
            assert client.recv(PATIENCE) == "second"
            assert client.subprotocol == "x"
            assert client.response is not None
            assert client.response.headers["X-A"] == "1"
            assert program.stdin is not None
            program.stdin.close()
            with pytest.raises(talkws.ConnectionClosedOK):
                client.recv(PATIENCE)
        assert program.wait(PATIENCE) == 0


def test_a_server_lets_nobody_in_from_other_pages() -> None:
    with serving("--origin", "http://a") as (_, url):
        talkws.connect(url, origin="http://a").close()
        with pytest.raises(talkws.InvalidStatus, match="403"):
            talkws.connect(url, origin="http://b")


def test_a_place_that_is_taken_is_one_sentence(listener: talkws.Listener) -> None:
    status, _, err = run("--listen", listener.url)
    assert (status, len(err)) == (1, 1)
    assert err[0].startswith(f"Failed to listen on {listener.url}: ")
