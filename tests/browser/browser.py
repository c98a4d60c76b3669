"""A browser without a screen, and what a user of the chat does in it."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager

import pytest
from selenium import webdriver
from selenium.common.exceptions import TimeoutException
from selenium.webdriver.common.by import By
from selenium.webdriver.common.keys import Keys
from selenium.webdriver.remote.webelement import WebElement
from selenium.webdriver.support.expected_conditions import (
    text_to_be_present_in_element,
    visibility_of_element_located,
)
from selenium.webdriver.support.ui import WebDriverWait

PATIENCE = 60.0
BROWSERS = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable")


def find(*names: str) -> str:
    """The first of these programs that is there; the test is skipped where there is none."""
    for name in names:
        if path := shutil.which(name):
            return path
    pytest.skip(
        f"no {names[0]}; Debian: apt install chromium chromium-driver; "
        "Ubuntu: snap install chromium"
    )


@contextmanager
def browser(*arguments: str) -> Iterator[webdriver.Chrome]:
    """A browser with a profile of its own, which reaches nothing but this machine."""
    options = webdriver.ChromeOptions()
    options.binary_location = find(*BROWSERS)
    for argument in (
        "--headless=new",
        "--no-first-run",
        "--disable-background-networking",
        "--disable-component-update",
        # In containers it is small, and the browser dies when it is full.
        "--disable-dev-shm-usage",
        "--host-resolver-rules=MAP * ~NOTFOUND , EXCLUDE localhost",
        *arguments,
    ):
        options.add_argument(argument)
    if os.geteuid() == 0:
        # The browser's own sandbox refuses to work for root, as whom containers run.
        options.add_argument("--no-sandbox")
    # With a path, selenium looks for no driver, neither here nor elsewhere.
    service = webdriver.ChromeService(find("chromedriver"))
    driver = webdriver.Chrome(options, service)
    try:
        driver.set_page_load_timeout(PATIENCE)
        driver.set_script_timeout(PATIENCE)
        yield driver
    finally:
        driver.quit()


class Tab:
    """A tab with the chat, and its user."""

    def __init__(self, driver: webdriver.Chrome, url: str, name: str) -> None:
        self._driver = driver
        driver.switch_to.new_window("tab")
        self._window = driver.current_window_handle
        driver.get(url)
        self.element("name").send_keys(name)

    def element(self, name: str) -> WebElement:
        """The element with this id, once it can be seen."""
        self._driver.switch_to.window(self._window)
        is_visible = visibility_of_element_located((By.ID, name))
        return WebDriverWait(self._driver, PATIENCE).until(is_visible)

    def join(self) -> None:
        self.element("name").send_keys(Keys.ENTER)

    def say(self, text: str) -> None:
        self.element("text").send_keys(text, Keys.ENTER)

    def wait_for_status(self, text: str) -> None:
        self._wait_for("status", text)

    def wait_to_hear(self, text: str) -> None:
        self._wait_for("log", text)

    def heard(self) -> list[str]:
        return self.element("log").text.splitlines()

    def _wait_for(self, name: str, text: str) -> None:
        self._driver.switch_to.window(self._window)
        has_text = text_to_be_present_in_element((By.ID, name), text)
        try:
            WebDriverWait(self._driver, PATIENCE).until(has_text)
        except TimeoutException:
            pytest.fail(f"{name} shows {self.element(name).text!r}, and not {text!r}")
