"""Signals: Ctrl-C, and any handler, in every wait of the main thread; and going on after it."""

from __future__ import annotations

import signal
import subprocess
import sys
from pathlib import Path

import pytest
from peers import PATIENCE

PROGRAM = Path(__file__).with_name("interrupted.py")
EXCHANGE = ["still works", "still works"]


def interrupt(scenario: str) -> list[str]:
    """Run a scenario, send it SIGINT once it waits, and return what it says after that."""
    program = subprocess.Popen(
        [sys.executable, "-X", "faulthandler", PROGRAM, scenario],
        stdout=subprocess.PIPE,
        text=True,
    )
    with program:
        try:
            assert program.stdout is not None
            assert program.stdout.readline() == "waiting\n"
            program.send_signal(signal.SIGINT)
            said, _ = program.communicate(timeout=PATIENCE)
        finally:
            program.kill()
    assert program.returncode == 0
    return said.splitlines()


@pytest.mark.parametrize(
    ("scenario", "said"),
    [
        ("recv", EXCHANGE),
        ("recv_with_timeout", EXCHANGE),
        ("iterate", EXCHANGE),
        ("recv_in_the_middle_of_a_message", ["still works"]),
        ("recv_while_another_thread_reads", ["still works", *EXCHANGE]),
        ("accept", EXCHANGE),
        ("connect", EXCHANGE),
        ("send", ["True", *EXCHANGE]),
        ("send_the_first_part", ["[True, True]", "CLOSED"]),
        ("wait_for_a_part", ["True"]),
        ("wait_for_a_pong", ["True", "still works"]),
        ("wait_for_a_pong_while_another_thread_reads", ["True", "still works"]),
        ("wait_for_a_pong_in_the_middle_of_a_message", ["still works"]),
        ("wait_closed", EXCHANGE),
        ("stream", ["still works"]),
        ("recv_into", ["still works"]),
        ("serve", ["still works"]),
        ("close", ["True", "1000"]),
    ],
)
def test_ctrl_c_ends_a_wait_and_harms_nothing(scenario: str, said: list[str]) -> None:
    assert interrupt(scenario) == ["KeyboardInterrupt", *said, "done"]


def test_what_a_handler_raises_comes_out() -> None:
    assert interrupt("recv_with_another_handler") == ["Alarmed", *EXCHANGE, "done"]


def test_a_handler_that_returns_lets_the_wait_go_on() -> None:
    assert interrupt("recv_goes_on") == ["handled", "after the signal", "done"]


def test_a_send_goes_on_until_all_has_left() -> None:
    assert interrupt("send_goes_on") == ["handled", "True", "done"]


def test_a_handler_may_close_the_connection_that_is_waited_for() -> None:
    said = interrupt("handler_closes_the_connection")
    assert said == ["ConnectionClosedOK", "[]", "1001 signal", "done"]


def test_a_handler_may_close_the_listener_that_is_waited_for() -> None:
    assert interrupt("handler_closes_the_listener") == ["ended", "done"]


def test_a_handler_may_read_from_the_connection_that_is_waited_for() -> None:
    said = interrupt("handler_reads_from_the_connection")
    assert said == ["for the handler", "for the call", "done"]


def test_a_handler_may_connect_while_its_thread_connects() -> None:
    said = interrupt("handler_connects_while_connecting")
    assert said == [*EXCHANGE, "Alarmed", "done"]
