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

from tests.support import CUSTOMER_ID, EXAMPLE, ORGANIZATION, bearer, executables, fill
from tests.support.browser import browser
from tests.support.demo import demo
from tests.support.mongod import free_port
from tests.support.nginx import Nginx
from tests.support.openapi import resolved
from tests.support.server import ROOT, Server

if TYPE_CHECKING:
    from pathlib import Path

    from pymongo.database import Database
    from selenium.webdriver import Chrome
    from selenium.webdriver.remote.webelement import WebElement

    from customer_service.repository.database import Document

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


@pytest.fixture(autouse=True)
def _programs() -> None:
    """Skip, or fail, before the demo is started."""
    for name, package in (("chromium", "chromium"), ("chromedriver", "chromium-driver"), ("nginx", "nginx-light")):
        executables.find(name, package)


def test_the_documented_read_in_a_browser(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TRUSTED_PROXIES", "127.0.0.1")
    port = free_port()
    with demo(port) as printed, Nginx(tmp_path, [port]) as nginx, browser() as window:
        (address,) = re.findall(r"^  (http://localhost:\d+/docs)$", printed, re.MULTILINE)
        (token,) = re.findall(r"^  (eyJ\S+)$", printed, re.MULTILINE)
        for each in (address, f"http://localhost:{nginx.port}/crm/api/docs"):
            page = Page(window, each)
            assert window.title == "Customer service: API reference"
            assert [tag.text.splitlines()[0] for tag in window.find_elements(By.CSS_SELECTOR, "h3.opblock-tag")] == [
                "Customers",
                "Members",
                "Catalogs",
                "Health",
            ]
            assert page.read_customer(401)["detail"] == "Authentication required."
            page.authorize(token)
            assert page.read_customer(200) == EXAMPLE
            base = each.removesuffix("/docs").removesuffix("/api")
            assert all(name.startswith(f"{base}/") for name in page.asked())
            assert page.complaints() == []
        elsewhere = "https://evil.example/openapi.json"
        page = Page(window, f"{address}?url={elsewhere}&configUrl={elsewhere}#/Customers/get_customer")
        assert not [name for name in page.asked() if name.startswith("https:")]
        assert window.find_element(By.CSS_SELECTOR, ".info .title").text.startswith("Customer service")
        take_picture(Page(window, address))
        assert "eyJ" not in window.execute_script(
            "return JSON.stringify([localStorage, sessionStorage, document.cookie])"
        )


def test_each_kind_of_form_succeeds_as_it_is_filled_in_on_a_telephone(
    mongodb_uri: str, mongodb: Database[Document]
) -> None:
    fill(mongodb)
    replica_set = Server(mongodb_uri, mongodb.name)
    with demo(free_port()) as printed, replica_set as server, browser() as window:
        window.set_script_timeout(PATIENCE)
        window.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", TELEPHONE)
        (address,) = re.findall(r"^  (http://localhost:\d+/docs)$", printed, re.MULTILINE)
        page = Page(window, address)
        (token,) = re.findall(r"^  (eyJ\S+)$", printed, re.MULTILINE)
        page.authorize(token)
        pressed = {part: page.press_execute(part) for part in (*page.one_of_each_kind(), FEED)}
        assert len(pressed) > MINIMUM_KINDS
        assert {part for part, each in pressed.items() if each.status not in {"200", "201", "204"}} == {FEED}
        assert pressed[FEED].status == "501"
        assert "The demo stores in memory, and answers 501 instead." in pressed[FEED].text
        assert max(each.width for each in pressed.values()) <= TELEPHONE["width"]
        page = Page(window, f"http://localhost:{server.port}/docs")
        page.authorize(bearer()["Authorization"].removeprefix("Bearer "))
        assert page.press_execute(FEED).status == "200"


def take_picture(page: Page) -> None:
    """Save the picture of the documentation if SCREENSHOT is set."""
    path = os.environ.get("SCREENSHOT")
    if path:
        page.wait_for(READ)
        page.window.save_screenshot(str(ROOT / path))
