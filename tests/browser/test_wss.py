"""A browser talks to us over wss."""

from __future__ import annotations

import subprocess
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest
import talkws

pytest.importorskip("selenium", reason="no selenium in target/venv; make venv")

from browser import browser
from selenium import webdriver

# Has messages of many sizes sent back, and closes.
ECHO = """
const [url, done] = arguments;
const sizes = [0, 1, 125, 126, 16384, 65536, 1000000];
const ws = new WebSocket(url);
let heard = 0;
const next = () => ws.send('ü'.repeat(sizes[heard]));
ws.onopen = next;
ws.onmessage = (event) => {
    if (event.data.length !== sizes[heard])
        done(`${event.data.length} and not ${sizes[heard]}`);
    heard += 1;
    if (heard < sizes.length)
        next();
    else
        ws.close(4000, 'enough');
};
ws.onclose = (event) => done(`closed: ${event.code} ${event.reason}, after ${heard}`);
"""


@pytest.fixture
def driver() -> Iterator[webdriver.Chrome]:
    with browser("--ignore-certificate-errors") as driver:
        yield driver


def echo(ws: talkws.ServerConnection) -> None:
    for message in ws:
        ws.send(message)


def page(
    ws: talkws.ServerConnection, request: talkws.Request
) -> talkws.Response | None:
    if "Upgrade" in request.headers:
        return None
    return ws.respond(200, "a page to talk from")


def test_a_browser_talks_over_wss(driver: webdriver.Chrome, tmp_path: Path) -> None:
    chain, key = tmp_path / "chain.pem", tmp_path / "key.pem"
    command = [
        *("openssl", "req", "-x509", "-newkey", "ec", "-nodes", "-days", "1"),
        *("-pkeyopt", "ec_paramgen_curve:P-256", "-subj", "/CN=localhost"),
        *("-addext", "subjectAltName=DNS:localhost"),
        *("-keyout", str(key), "-out", str(chain)),
    ]
    subprocess.run(command, check=True, capture_output=True)
    tls = talkws.ServerTLS((chain, key))
    with talkws.serve(echo, "localhost", 0, ssl=tls, process_request=page) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        try:
            driver.get(f"https://localhost:{server.port}/")
            outcome = driver.execute_async_script(
                ECHO, f"wss://localhost:{server.port}/chat"
            )
        finally:
            server.shutdown()
            thread.join()
    # An answer to a Close has its code alone.
    assert outcome == "closed: 4000 , after 7"
