"""A headless Chromium with an empty profile."""

from __future__ import annotations

import tempfile
from contextlib import contextmanager
from typing import TYPE_CHECKING

from selenium import webdriver

from tests.support import executables

if TYPE_CHECKING:
    from collections.abc import Iterator

FLAGS = (
    "--headless",
    "--no-sandbox",  # as root it has none
    "--disable-gpu",
    "--disable-quic",
    "--disable-dev-shm-usage",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--window-size=1280,1100",
)


@contextmanager
def browser() -> Iterator[webdriver.Chrome]:
    """Give it to one test, with what its console says."""
    options = webdriver.ChromeOptions()
    options.binary_location = executables.find("chromium", "chromium")
    options.set_capability("goog:loggingPrefs", {"browser": "ALL"})
    driver = webdriver.ChromeService(executables.find("chromedriver", "chromium-driver"))
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as profile:
        for flag in (*FLAGS, f"--user-data-dir={profile}"):
            options.add_argument(flag)
        window = webdriver.Chrome(options, driver)
        try:
            yield window
        finally:
            window.quit()
