"""`python -m talkws` in a terminal: what a person sees of it, and what their keys do."""

from __future__ import annotations

import itertools
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Callable

import pytest
import talkws
from peers import PATIENCE, in_thread
from screen import Terminal

WITHOUT_READLINE = (
    "import sys; sys.modules['readline'] = None; "
    "from talkws.cli import main; sys.exit(main())"
)

Talk = tuple[Terminal, talkws.ServerConnection]


@pytest.fixture
def has_readline() -> None:
    pytest.importorskip("readline", reason="this Python is built without readline")


@contextmanager
def talking(
    listener: talkws.Listener,
    folder: Path,
    *,
    term: str = "xterm",
    readline: bool = True,
) -> Iterator[Talk]:
    """A person in front of a terminal, and the server that they are connected to."""
    program = ["-m", "talkws"] if readline else ["-c", WITHOUT_READLINE]
    env = {"XDG_STATE_HOME": str(folder), "TERM": term}
    accepted = in_thread(lambda: listener.accept(PATIENCE).upgrade())
    with Terminal([sys.executable, *program, listener.url], env) as terminal:
        ws = accepted.result(PATIENCE)
        terminal.wait_for(f"Connected to {listener.url}.", "> ")
        yield terminal, ws
        in_thread(ws.close).result(PATIENCE)


def leave(terminal: Terminal, ws: talkws.ServerConnection) -> None:
    terminal.end_input()
    with pytest.raises(talkws.ConnectionClosedOK):
        ws.recv(PATIENCE)
    assert terminal.wait_for_end() == 0


@pytest.fixture
def talk(
    listener: talkws.Listener, tmp_path: Path, has_readline: None
) -> Iterator[Talk]:
    with talking(listener, tmp_path) as ends:
        yield ends


def test_lines_are_sent_and_messages_shown(talk: Talk) -> None:
    terminal, ws = talk
    terminal.type("hello\r")
    assert ws.recv(PATIENCE) == "hello"
    terminal.wait_for("> hello", "> ")
    ws.send("hello back\x1b[2J")
    ws.send(b"\x00\xff")
    terminal.wait_for("> hello", "< hello back\\x1b[2J", "< (binary) 00ff", "> ")


def test_a_message_leaves_the_line_that_is_typed_as_it_is(talk: Talk) -> None:
    terminal, ws = talk
    terminal.type("herring")
    terminal.wait_for("> herring")
    terminal.type("\x1b[D" * 3)
    terminal.wait_until(lambda: terminal.screen.column == 6)
    ws.send("a word between")
    terminal.wait_for("< a word between", "> herring")
    assert terminal.screen.column == 6
    terminal.type("-R\x1b[D")
    terminal.wait_for("< a word between", "> herr-Ring")
    ws.send("another")
    terminal.wait_for("< a word between", "< another", "> herr-Ring")
    terminal.type("\r")
    assert ws.recv(PATIENCE) == "herr-Ring"


def test_long_messages_scroll_the_screen_and_nothing_else(talk: Talk) -> None:
    """At its top and at its bottom; characters may be two columns wide."""
    terminal, ws = talk
    terminal.type("typed")
    for count in range(1, 5):
        ws.send(f"{count}" * 97)
        ws.send("世" * 30)
        terminal.wait_for(
            "< " + f"{count}" * 38,
            f"{count}" * 40,
            f"{count}" * 19,
            "< " + "世" * 19,
            "世" * 11,
            "> typed",
        )


def test_a_line_longer_than_the_screen_is_not_torn(talk: Talk) -> None:
    terminal, ws = talk
    line = "".join(f"{number:02}" for number in range(50))
    terminal.type(line)
    terminal.wait_until(lambda: terminal.screen.lines()[-1].endswith("49"))
    before = terminal.screen.lines()
    ws.send("a word between")
    terminal.wait_for("< a word between", before[-1])
    terminal.type("\r")
    assert ws.recv(PATIENCE) == line


def test_no_key_and_no_message_is_lost_in_a_flood(talk: Talk) -> None:
    """Neither is the picture: what readline writes is not lost to the messages' signals."""
    terminal, ws = talk
    count = 1500

    def send_all() -> None:
        for number in range(count):
            ws.send(f"m{number}")

    flood = in_thread(send_all)
    for _ in range(count):
        terminal.type("abc\x7f\x7f\x7f")
        terminal.look()
    terminal.type("end")
    terminal.wait_for(f"< m{count - 1}", "> end")
    flood.result(PATIENCE)
    shown = [line for line in terminal.screen.lines() if line.startswith("< ")]
    assert shown == [f"< m{number}" for number in range(count)]
    terminal.type("\r")
    assert ws.recv(PATIENCE) == "end"


def test_ctrl_d_closes(talk: Talk) -> None:
    terminal, ws = talk
    leave(terminal, ws)
    assert ws.close_code == 1000
    # Forty columns are too few for it.
    assert terminal.screen.lines()[-3:] == [
        ">",
        "Connection closed: 1000 (normal closure)",
        ".",
    ]


def test_ctrl_c_closes_in_the_middle_of_a_line(talk: Talk) -> None:
    terminal, ws = talk
    terminal.type("never sent")
    terminal.wait_for("> never sent")
    terminal.interrupt()
    with pytest.raises(talkws.ConnectionClosedOK):
        ws.recv(PATIENCE)
    assert terminal.wait_for_end() == 130
    assert terminal.screen.lines()[-3:] == [
        "> never sent",
        "Connection closed: 1000 (normal closure)",
        ".",
    ]


@pytest.mark.parametrize("end", [Terminal.interrupt, Terminal.end_input])
def test_it_ends_in_the_middle_of_a_flood(
    talk: Talk, end: Callable[[Terminal], None]
) -> None:
    terminal, ws = talk

    def send_until_closed() -> None:
        # At the latest when the test ends, and with it the program in the terminal.
        for number in itertools.count():
            ws.send(f"m{number}")

    flood = in_thread(send_until_closed)
    reading = in_thread(lambda: ws.recv(PATIENCE))
    terminal.wait_until(lambda: "< m100" in terminal.screen.lines())
    end(terminal)
    terminal.wait_until(
        lambda: any(line.startswith("Conn") for line in terminal.screen.lines()[1:])
    )
    assert terminal.wait_for_end() == (130 if end is Terminal.interrupt else 0)
    for sides in (flood, reading):
        assert isinstance(sides.exception(PATIENCE), talkws.ConnectionClosedOK)
    assert "Error" not in terminal.heard


@pytest.mark.parametrize(("code", "status"), [(1001, 0), (1011, 1)])
def test_the_servers_close_ends_it_in_the_middle_of_a_line(
    talk: Talk, code: int, status: int
) -> None:
    terminal, ws = talk
    terminal.type("never sent")
    terminal.wait_for("> never sent")
    ws.send("last words")
    ws.close(code)
    assert terminal.wait_for_end() == status
    words = {1001: "1001 (going away).", 1011: "1011 (internal error)."}
    end = f"Connection closed: {words[code]}"
    cut = [end[:40], end[40:]] if len(end) > 40 else [end]
    assert terminal.screen.lines()[-2 - len(cut) :] == [
        "< last words",
        "> never sent",
        *cut,
    ]


def test_lines_are_remembered(
    listener: talkws.Listener, tmp_path: Path, has_readline: None
) -> None:
    with talking(listener, tmp_path) as (terminal, ws):
        terminal.type("one\rtwo\r")
        assert [ws.recv(PATIENCE), ws.recv(PATIENCE)] == ["one", "two"]
        # Before the next prompt, the terminal would take Ctrl-D for itself.
        terminal.wait_for("> two", "> ")
        leave(terminal, ws)
    history = tmp_path / "talkws" / "history"
    assert history.stat().st_mode & 0o077 == 0
    with talking(listener, tmp_path) as (terminal, ws):
        terminal.type("\x1b[A\x1b[A")
        terminal.wait_for("> one")
        terminal.type("\r")
        assert ws.recv(PATIENCE) == "one"


def test_a_history_that_cannot_be_kept_does_no_harm(
    listener: talkws.Listener, tmp_path: Path, has_readline: None
) -> None:
    (tmp_path / "talkws").write_text("a file where a folder should be")
    with talking(listener, tmp_path) as (terminal, ws):
        terminal.type("hello\r")
        assert ws.recv(PATIENCE) == "hello"
        terminal.wait_for("> hello", "> ")
        leave(terminal, ws)
        shown = terminal.screen.lines()
        assert "Traceback" not in "".join(shown)


def test_it_does_without_readline(listener: talkws.Listener, tmp_path: Path) -> None:
    with talking(listener, tmp_path, readline=False) as (terminal, ws):
        terminal.type("hel")
        terminal.wait_for("> hel")
        ws.send("a word between")
        terminal.wait_for("< a word between", "> hel")
        terminal.type("lo\n")
        assert ws.recv(PATIENCE) == "hello"
        terminal.wait_for("> hello", "> ")
        terminal.type("never sent")
        terminal.wait_for("> never sent")
        ws.close()
        assert terminal.wait_for_end() == 0


def test_a_terminal_that_obeys_nothing_gets_no_escapes(
    listener: talkws.Listener, tmp_path: Path, has_readline: None
) -> None:
    with talking(listener, tmp_path, term="dumb") as (terminal, ws):
        terminal.type("hel")
        terminal.wait_for("> hel")
        ws.send("a word between")
        terminal.wait_for("> hel", "< a word between", "> hel")
        terminal.type("lo\r")
        assert ws.recv(PATIENCE) == "hello"
    assert "\x1b[" not in terminal.heard.replace("\x1b[?2004h", "")


def test_a_server_says_when_nobody_hears(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "talkws", "--listen", "ws://127.0.0.1:0"]
    with Terminal(command, {"XDG_STATE_HOME": str(tmp_path)}) as terminal:
        terminal.wait_until(lambda: terminal.screen.lines()[-1:] == [">"])
        url = terminal.screen.lines()[0].split()[-1].rstrip(".")
        terminal.type("hello?\r")
        terminal.wait_until(lambda: "Nobody" in "".join(terminal.screen.lines()))
        with talkws.connect(url) as client:
            terminal.wait_until(
                lambda: "Client 1 connected" in "".join(terminal.screen.lines())
            )
            client.send("hi")
            terminal.wait_until(lambda: "1 < hi" in terminal.screen.lines())
            terminal.type("hello\r")
            assert client.recv(PATIENCE) == "hello"
            terminal.wait_for("> hello", "> ")
            terminal.end_input()
            with pytest.raises(talkws.ConnectionClosedOK):
                client.recv(PATIENCE)
        assert terminal.wait_for_end() == 0
