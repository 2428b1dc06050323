"""A person opens /docs in a browser, pastes the demo's token, and each kind of form succeeds as it is filled in.

tests/contract/test_examples.py sends what the page fills into every form, without a browser.

`SCREENSHOT=docs/reference.png .venv/bin/pytest tests/e2e/test_docs_in_browser.py` takes the picture of the page anew.
"""

from __future__ import annotations

import json
import os
import re
from typing import TYPE_CHECKING, Any, NamedTuple

import pytest
from selenium.webdriver.common.by import By
from selenium.webdriver.support import expected_conditions as conditions
from selenium.webdriver.support.ui import WebDriverWait

from tests.support import CUSTOMER_ID, EXAMPLE, ORGANIZATION, executables
from tests.support.browser import browser
from tests.support.demo import demo
from tests.support.mongod import free_port
from tests.support.nginx import Nginx
from tests.support.openapi import resolved
from tests.support.server import ROOT

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from selenium.webdriver import Chrome
    from selenium.webdriver.remote.webelement import WebElement

PATIENCE, POLL_SECONDS = 30, 0.1
READ = "#operations-Customers-get_customer"
FEED = "operations-Customers-list_customer_changes"
MINIMUM_KINDS = 12

TELEPHONE = {"width": 400, "height": 900, "deviceScaleFactor": 1, "mobile": False}
PRESS_EXECUTE = """
const [part, done] = arguments;
const found = async (selector, text = "") => {
  for (;;) {
    const element = document.querySelector(`#${part} ${selector}`);
    if (element && element.textContent.includes(text)) return element;
    await new Promise(resolve => setTimeout(resolve, 20));
  }
};
(async () => {
  (await found(".opblock-summary-control")).click();
  await found("tr.response[data-code=default]", "An error that any operation can have");  // the references are resolved
  (await found(".execute")).click();
  const status = (await found(".live-responses-table tbody .response-col_status")).textContent;
  const pressed = [status, document.documentElement.scrollWidth, document.getElementById(part).textContent];
  (await found(".opblock-summary-control")).click();  // each open operation makes the next one slower
  done(pressed);
})();
"""


class Pressed(NamedTuple):
    """The status of the response, the width that the page needs, and what it says about the operation."""

    status: str
    width: int
    text: str


class Page:
    """The reference as it stands in a browser."""

    def __init__(self, window: Chrome, address: str) -> None:
        self.window = window
        window.get(address)
        self.wait_for(".opblock")

    def wait_for(self, selector: str) -> WebElement:
        """Return the first of these elements, once it is there."""
        found: WebElement = WebDriverWait(self.window, PATIENCE, POLL_SECONDS).until(
            conditions.element_to_be_clickable((By.CSS_SELECTOR, selector))
        )
        return found

    def authorize(self, token: str) -> None:
        """Paste a token into the field of the page."""
        self.wait_for(".auth-wrapper .authorize").click()
        self.wait_for(".modal-ux input").send_keys(token)
        self.wait_for(".modal-ux button.authorize").click()
        self.wait_for(".modal-ux .btn-done").click()

    def read_customer(self, status: int) -> Any:
        """Open the documented read, send it as it is filled in, and return the body that comes with this status."""
        if not self.window.find_elements(By.CSS_SELECTOR, f"{READ}.is-open"):
            self.wait_for(f"{READ} .opblock-summary-control").click()
        filled = [each.get_attribute("value") for each in self.window.find_elements(By.CSS_SELECTOR, f"{READ} input")]
        assert filled[:2] == [ORGANIZATION, CUSTOMER_ID]
        self.wait_for(f"{READ} .execute").click()
        shown = (By.CSS_SELECTOR, f"{READ} .live-responses-table tbody .response-col_status")
        WebDriverWait(self.window, PATIENCE, POLL_SECONDS).until(
            conditions.text_to_be_present_in_element(shown, str(status))
        )
        body = self.wait_for(f"{READ} .live-responses-table .highlight-code").text
        return json.loads(body[body.index("{") : body.rindex("}") + 1])

    def one_of_each_kind(self) -> list[str]:
        """Return the part of the page for one operation of each method and kinds of values, in the page's order."""
        document = self.window.execute_async_script("fetch('openapi.json').then(r => r.json()).then(arguments[0])")
        kinds = {
            (
                method,
                "requestBody" in operation,
                frozenset(each["in"] for each in operation.get("parameters", ())),
            ): name
            for item in document["paths"].values()
            for method, reference in item.items()
            if (operation := resolved(reference, document)) and (name := operation["operationId"])
        }
        parts = [each.get_attribute("id") or "" for each in self.window.find_elements(By.CSS_SELECTOR, ".opblock")]
        return [part for part in parts if part.rpartition("-")[2] in kinds.values()]

    def press_execute(self, part: str) -> Pressed:
        """Open an operation, send it as it is filled in, and close it."""
        return Pressed(*self.window.execute_async_script(PRESS_EXECUTE, part))

    def complaints(self) -> list[Any]:
        """Return what the console says, such as that the page's own policy forbade something."""
        return [line for line in self.window.get_log("browser") if "status of 401" not in line["message"]]

    def asked(self) -> list[str]:
        """Return every address that the page loaded anything from."""
        names: list[str] = self.window.execute_script(
            "return performance.getEntriesByType('resource').map(e => e.name)"
        )
        return names


class Demo(NamedTuple):
    """A running demo: its port, and the address of its reference and the token that it printed."""

    port: int
    address: str
    token: str


@pytest.fixture(scope="module")
def window() -> Iterator[Chrome]:
    """A browser, unless a program is missing that the tests need."""
    for name, package in (("chromium", "chromium"), ("chromedriver", "chromium-driver"), ("nginx", "nginx-light")):
        executables.find(name, package)
    with browser() as started:
        yield started


@pytest.fixture(scope="module")
def running(window: Chrome) -> Iterator[Demo]:
    """A demo that trusts the proxy of this machine; it starts after the browser, which may be missing."""
    port = free_port()
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("TRUSTED_PROXIES", "127.0.0.1")
        with demo(port) as printed:
            (address,) = re.findall(r"^  (http://localhost:\d+/docs)$", printed, re.MULTILINE)
            (token,) = re.findall(r"^  (eyJ\S+)$", printed, re.MULTILINE)
            yield Demo(port, address, token)


def test_the_documented_read_in_a_browser(tmp_path: Path, running: Demo, window: Chrome) -> None:
    with Nginx(tmp_path, [running.port]) as nginx:
        for each in (running.address, f"http://localhost:{nginx.port}/crm/api/docs"):
            page = Page(window, each)
            assert window.title == "Customer service: API reference"
            assert [tag.text.splitlines()[0] for tag in window.find_elements(By.CSS_SELECTOR, "h3.opblock-tag")] == [
                "Customers",
                "Members",
                "Catalogs",
                "Health",
            ]
            assert page.read_customer(401)["detail"] == "Authentication required."
            page.authorize(running.token)
            assert page.read_customer(200) == EXAMPLE
            base = each.removesuffix("/docs").removesuffix("/api")
            assert all(name.startswith(f"{base}/") for name in page.asked())
            assert page.complaints() == []
    take_picture(window, running.address)


def test_no_address_can_replace_the_document(running: Demo, window: Chrome) -> None:
    elsewhere = "https://evil.example/openapi.json"
    page = Page(window, f"{running.address}?url={elsewhere}&configUrl={elsewhere}#/Customers/get_customer")
    assert not [name for name in page.asked() if name.startswith("https:")]
    assert window.find_element(By.CSS_SELECTOR, ".info .title").text.startswith("Customer service")


def test_each_kind_of_form_succeeds_as_it_is_filled_in_on_a_telephone(running: Demo, window: Chrome) -> None:
    window.set_script_timeout(PATIENCE)
    window.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", TELEPHONE)
    page = Page(window, running.address)
    page.authorize(running.token)
    pressed = {part: page.press_execute(part) for part in (*page.one_of_each_kind(), FEED)}
    assert len(pressed) > MINIMUM_KINDS
    assert {part for part, each in pressed.items() if each.status not in {"200", "201", "204"}} == {FEED}
    assert pressed[FEED].status == "501"
    assert "The demo stores in memory, and answers 501 instead." in pressed[FEED].text
    assert max(each.width for each in pressed.values()) <= TELEPHONE["width"]
    stored = window.execute_script("return JSON.stringify([localStorage, sessionStorage, document.cookie])")
    assert "eyJ" not in stored


def take_picture(window: Chrome, address: str) -> None:
    """Save the picture of the documentation if SCREENSHOT is set."""
    path = os.environ.get("SCREENSHOT")
    if path:
        Page(window, address).wait_for(READ)
        window.save_screenshot(str(ROOT / path))
