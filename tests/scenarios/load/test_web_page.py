"""A profile under plain `locust -f`, its web page in a real browser."""

from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from selenium import webdriver
from selenium.common.exceptions import WebDriverException
from selenium.webdriver.common.by import By
from selenium.webdriver.support.ui import WebDriverWait

import proxyspec_scenarios.load
from proxyspec.haproxy.front import free_ports

from .measured import measured

pytestmark = pytest.mark.tools

PROFILE = Path(proxyspec_scenarios.load.__path__[0]) / "throughput.py"
FLAGS = ("--headless=new", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage", "--window-size=1400,900")


def test_the_web_page_runs_the_profile_as_it_is(tmp_path: Path) -> None:
    port = free_ports(1)[0]
    options = webdriver.ChromeOptions()
    options.binary_location = shutil.which("chromium") or "chromium"
    for flag in (*FLAGS, f"--user-data-dir={tmp_path / 'browser'}"):
        options.add_argument(flag)
    with measured() as server:
        command = [sys.executable, "-m", "locust", "-f", str(PROFILE), "--host", f"smtp://127.0.0.1:{server.port}"]
        command += ["--web-host", "127.0.0.1", "--web-port", str(port)]
        with subprocess.Popen(command, cwd=tmp_path, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL) as locust:
            service = webdriver.ChromeService(executable_path=shutil.which("chromedriver") or "chromedriver")
            driver = webdriver.Chrome(options=options, service=service)
            try:
                wait = WebDriverWait(driver, 60, ignored_exceptions=(WebDriverException,))

                def opened(browser: webdriver.Chrome) -> bool:
                    browser.get(f"http://127.0.0.1:{port}/")
                    return bool(browser.find_elements(By.ID, "root"))

                def button(browser: webdriver.Chrome) -> bool:
                    found = [each for each in browser.find_elements(By.TAG_NAME, "button") if each.text == "START"]
                    found[0].click()
                    return True

                def rows(browser: webdriver.Chrome) -> list[list[str]]:
                    lines = browser.find_element(By.TAG_NAME, "body").text.splitlines()
                    return [line.split() for line in lines if line.startswith("SMTP session")]

                wait.until(opened)
                WebDriverWait(driver, 60, ignored_exceptions=(WebDriverException, IndexError)).until(button)
                (row,) = wait.until(lambda browser: [row for row in rows(browser) if int(row[2]) > 10])
                body = driver.find_element(By.TAG_NAME, "body").text
            finally:
                driver.quit()
                locust.terminate()
    # Nobody failed: the header is the profile's, though nobody chose one.
    assert row[3] == "0"
    assert all(f"{share}%ile (ms)" in body for share in (90, 95, 99))
