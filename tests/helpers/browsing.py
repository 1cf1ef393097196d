"""A headless Chromium for tests that look at pages."""

import shutil

import pytest


def open_browser():
    """Open the browser; skip the test where it or selenium is missing."""
    webdriver = pytest.importorskip("selenium.webdriver")
    chromium, driver = shutil.which("chromium"), shutil.which("chromedriver")
    if not (chromium and driver):
        pytest.skip("chromium and chromedriver are not installed")
    options = webdriver.ChromeOptions()
    options.binary_location = chromium
    for argument in (
        *("headless=new", "no-sandbox", "disable-gpu", "disable-quic"),
        *("no-first-run", "disable-background-networking", "disable-component-update"),
        *("disable-sync", "disable-dev-shm-usage", "hide-scrollbars"),
        "enable-unsafe-swiftshader",  # WebGL without a graphics card
    ):
        options.add_argument(f"--{argument}")
    options.set_capability("goog:loggingPrefs", {"browser": "ALL"})
    service = webdriver.ChromeService(executable_path=driver)
    return webdriver.Chrome(options=options, service=service)


def resize(browser, width):
    """Set the width of the page itself, which can be below that of any window."""
    size = {"width": width, "height": 900, "deviceScaleFactor": 1, "mobile": False}
    browser.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", size)
