"""The chat of `examples/web_chat.py` in a browser, as its users see it."""

from __future__ import annotations

import sys
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from urllib.parse import urlsplit

import pytest
import talkws
import wire
from program import running

pytest.importorskip("selenium", reason="no selenium in target/venv; make venv")

from browser import PATIENCE, Tab, browser
from selenium import webdriver

EXAMPLE = Path(__file__).parents[2] / "examples" / "web_chat.py"


@contextmanager
def serving(port: int = 0) -> Iterator[str]:
    """The chat's server; its URL."""
    with running("web_chat", [sys.executable, EXAMPLE, str(port)]) as server:
        yield server.wait_until_ready(PATIENCE)


@pytest.fixture
def driver() -> Iterator[webdriver.Chrome]:
    with browser() as driver:
        yield driver


def test_two_tabs_talk_to_each_other(driver: webdriver.Chrome) -> None:
    with serving() as url:
        ann, bob = Tab(driver, url, "Ann"), Tab(driver, url, "Bob")
        ann.join()
        ann.wait_to_hear("Ann is here.")
        bob.join()
        ann.wait_to_hear("Bob is here.")
        ann.say("Grüße, 世界!")
        bob.wait_to_hear("Ann: Grüße, 世界!")
        bob.say("<b>Hello</b>, Ann!")
        ann.wait_to_hear("Bob: <b>Hello</b>, Ann!")
        said = ["Ann: Grüße, 世界!", "Bob: <b>Hello</b>, Ann!"]
        assert ann.heard() == ["Ann is here.", "Bob is here.", *said]
        bob.wait_to_hear(said[1])
        assert bob.heard() == ["Bob is here.", *said]


def test_the_page_shows_code_and_reason_of_a_close(driver: webdriver.Chrome) -> None:
    with serving() as url:
        ann, bob = Tab(driver, url, "Ann"), Tab(driver, url, "Bob")
        for tab in (ann, bob):
            tab.join()
            tab.wait_for_status("connected")
        ann.element("leave").click()
        ann.wait_for_status("closed: 4000 Goodbye, Ann!")
        bob.wait_to_hear("Ann is gone.")
        ann.join()
        ann.wait_for_status("connected")
        bob.say("Welcome back")
        ann.wait_to_hear("Bob: Welcome back")


def test_the_page_connects_again_when_the_server_was_restarted(
    driver: webdriver.Chrome,
) -> None:
    with serving() as url:
        ann = Tab(driver, url, "Ann")
        ann.join()
        ann.wait_to_hear("Ann is here.")
    ann.wait_for_status("connecting")
    with serving(urlsplit(url).port or 0):
        ann.wait_for_status("connected")
        ann.say("Still there?")
        ann.wait_to_hear("Ann: Still there?")


def test_a_page_of_another_server_is_refused(driver: webdriver.Chrome) -> None:
    """The page of one server may not talk to the chat of another (RFC 6455, section 10.2)."""
    connect = (
        "const [url, done] = arguments; const ws = new WebSocket(url);"
        "ws.onopen = () => done('open'); ws.onclose = (event) => done(event.code);"
    )
    with serving() as here, serving() as there:
        driver.get(here)
        for url, outcome in ((here, "open"), (there, 1006)):
            chat = url.replace("http:", "ws:") + "chat"
            assert driver.execute_async_script(connect, chat) == outcome


def test_there_is_nothing_but_the_page() -> None:
    with serving() as url:
        with pytest.raises(urllib.error.HTTPError) as refused:
            urllib.request.urlopen(url + "other", timeout=PATIENCE)
        assert refused.value.code == 404
        refused.value.close()


def test_one_who_takes_nothing_has_to_go_and_is_in_nobodys_way() -> None:
    # More than the buffers between the two hold, and what waits for one member.
    line, count = "x" * 4000, 5000
    with serving() as url:
        chat = url.replace("http:", "ws:") + "chat"
        with wire.client(chat) as deaf, talkws.connect(chat) as ann:
            wire.send_frame(deaf, wire.TEXT, b"Bob", mask=True)
            assert wire.receive_frame(deaf) == (wire.TEXT, b"Bob is here.")
            ann.send("Ann")
            assert ann.recv(PATIENCE) == "Ann is here."
            for _ in range(count):
                ann.send(line)
                while ann.recv(PATIENCE) != f"Ann: {line}":
                    pass
            wire.expect_lost(deaf)
