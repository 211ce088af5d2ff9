"""The page in a real browser: filter, search, deep links, keyboard, no script, no request, no injection, access."""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from axe_core_python.selenium import Axe  # type: ignore[import-untyped]
from selenium import webdriver
from selenium.webdriver.common.by import By
from selenium.webdriver.common.keys import Keys
from selenium.webdriver.remote.webelement import WebElement
from selenium.webdriver.support.ui import WebDriverWait

from proxyspec.records import Run
from proxyspec_reports import Attachment, render_html, view

from .samples import annotate, clean_run, load_run, mixed_run
from .test_baseline import measured

pytestmark = pytest.mark.tools

FLAGS = (
    "--headless=new",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--disable-dev-shm-usage",
    "--window-size=1400,900",
)


def _write(page: Path, *, most: int | None = None) -> str:
    """Write the report of two servers and a load, with the first `most` cases each; return its address."""
    other = clean_run()
    other = other.model_copy(update={"target": other.target.model_copy(update={"url": "smtp://127.0.0.1:2526"})})
    runs: list[Run] = [run.model_copy(update={"cases": run.cases[:most]}) for run in (mixed_run(), other)]
    files = [[Attachment("haproxy.cfg", "run/haproxy.cfg", 120, "global\n"), Attachment("a.pcap", "a.pcap", 9)], [], []]
    page.write_text(render_html(view([*runs, load_run()], annotate=annotate, attachments=files)), "utf-8")
    return page.as_uri()


def _driver(profile: Path, *, javascript: bool = True) -> webdriver.Chrome:
    options = webdriver.ChromeOptions()
    options.binary_location = shutil.which("chromium") or "chromium"
    for flag in (*FLAGS, f"--user-data-dir={profile}"):
        options.add_argument(flag)
    if not javascript:
        options.add_experimental_option("prefs", {"profile.managed_default_content_settings.javascript": 2})
    options.set_capability("goog:loggingPrefs", {"performance": "ALL", "browser": "ALL"})
    service = webdriver.ChromeService(executable_path=shutil.which("chromedriver") or "chromedriver")
    driver = webdriver.Chrome(options=options, service=service)
    # Waits for a busy machine, not for the page.
    driver.set_script_timeout(110)
    return driver


@pytest.fixture(scope="module")
def address(tmp_path_factory: pytest.TempPathFactory) -> str:
    return _write(tmp_path_factory.mktemp("page") / "report.html")


@pytest.fixture(scope="module")
def browser(tmp_path_factory: pytest.TempPathFactory) -> Iterator[webdriver.Chrome]:
    driver = _driver(tmp_path_factory.mktemp("profile"))
    yield driver
    driver.quit()


@pytest.fixture
def page(browser: webdriver.Chrome, address: str) -> webdriver.Chrome:
    # A page of its own each time: the same address with another fragment would only move within the old one.
    browser.get("about:blank")
    browser.get(address)
    return browser


def seen(page: webdriver.Chrome, selector: str) -> list[WebElement]:
    return [node for node in page.find_elements(By.CSS_SELECTOR, selector) if node.is_displayed()]


def scrolled_to(page: webdriver.Chrome, node: WebElement) -> WebElement:
    page.execute_script("arguments[0].scrollIntoView({block: 'center'})", node)
    return node


def pressed(page: webdriver.Chrome, words: str) -> WebElement:
    button = next(node for node in page.find_elements(By.CSS_SELECTOR, ".tools button") if node.text == words)
    button.click()
    return button


def hash_of(page: webdriver.Chrome) -> str:
    return str(page.execute_script("return decodeURIComponent(location.hash)"))


def test_a_verdict_chosen_leaves_its_cases_and_stays_in_the_address(page: webdriver.Chrome) -> None:
    before = len(seen(page, "#run-1 .cases tbody tr:not(.group)"))
    button = pressed(page, "FAIL")
    assert button.get_attribute("aria-pressed") == "true"
    rows = seen(page, "#run-1 .cases tbody tr:not(.group)")
    assert 0 < len(rows) < before
    assert all("FAIL" in row.text for row in rows)
    assert hash_of(page) == "#?v=fail"
    pressed(page, "FAIL")
    assert len(seen(page, "#run-1 .cases tbody tr:not(.group)")) == before


def test_what_a_baseline_knows_is_set_apart(browser: webdriver.Chrome, tmp_path: Path) -> None:
    measured_page = tmp_path / "measured.html"
    measured_page.write_text(render_html(view([measured()])), "utf-8")
    browser.get(measured_page.as_uri())
    for word, names in (("KNOWN", ["v1/x/known-1", "v1/x/known-2"]), ("NEW", ["v1/x/new"]), ("FIXED", ["v1/x/fixed"])):
        pressed(browser, word)
        rows = seen(browser, ".cases tbody tr:not(.group)")
        assert [row.find_element(By.TAG_NAME, "th").text for row in rows] == names
        pressed(browser, word)


def test_search_narrows_and_says_how_many(page: webdriver.Chrome) -> None:
    page.find_element(By.TAG_NAME, "body").send_keys("/")
    field = page.switch_to.active_element
    assert field.get_attribute("type") == "search"
    field.send_keys("leading-zero")
    rows = seen(page, "#run-1 .cases tbody tr:not(.group)")
    assert [row.find_element(By.TAG_NAME, "th").text for row in rows] == ["v1/port/leading-zero"]
    assert " of " in page.find_element(By.CSS_SELECTOR, ".tools output").text
    assert hash_of(page) == "#?q=leading-zero"


def test_a_link_with_place_and_filter_restores_both(browser: webdriver.Chrome, address: str) -> None:
    browser.get("about:blank")
    browser.get(f"{address}#run-1?v=fail&q=port")
    assert browser.find_element(By.CSS_SELECTOR, ".tools input").get_attribute("value") == "port"
    assert all("port" in row.text for row in seen(browser, "#run-1 .cases tbody tr:not(.group)"))
    assert browser.switch_to.active_element.get_attribute("id") == "run-1"


def test_a_link_to_a_quiet_case_opens_what_hides_it(browser: webdriver.Chrome, address: str) -> None:
    browser.get("about:blank")
    browser.get(address)
    target = browser.find_element(By.CSS_SELECTOR, ".quiet .case [id]").get_attribute("id")
    browser.get("about:blank")
    browser.get(f"{address}#{target}")
    case = browser.find_element(By.ID, str(target))
    assert case.is_displayed()
    WebDriverWait(browser, 60).until(lambda _: case.find_elements(By.CSS_SELECTOR, ".copy"))


def test_the_keyboard_walks_from_problem_to_problem(page: webdriver.Chrome) -> None:
    problems = len(page.find_elements(By.CSS_SELECTOR, ".problems .case"))
    places = []
    for _ in range(problems):
        page.switch_to.active_element.send_keys("n")
        node = page.switch_to.active_element
        assert node.is_displayed()
        places.append(node.get_attribute("id") or node.find_element(By.CSS_SELECTOR, "[id]").get_attribute("id"))
    assert len(set(places)) == problems
    page.switch_to.active_element.send_keys("p")
    assert "problem" in page.find_element(By.CSS_SELECTOR, ".tools output").text
    page.find_element(By.CSS_SELECTOR, ".tools input").send_keys("np")
    assert page.find_element(By.CSS_SELECTOR, ".tools input").get_attribute("value") == "np", "typing is typing"


def test_what_is_far_down_is_laid_out_when_a_link_or_a_search_leads_there(
    browser: webdriver.Chrome, tmp_path: Path
) -> None:
    targets = [mixed_run().target.model_copy(update={"url": f"smtp://127.0.0.1:{2525 + n}"}) for n in range(6)]
    long = tmp_path / "long.html"
    report = view([mixed_run().model_copy(update={"target": at}) for at in targets])
    long.write_text(render_html(replace(report, long=True)), "utf-8")
    browser.get(long.as_uri())
    laid_out = "return document.getElementById(arguments[0]).checkVisibility({contentVisibilityAuto: true})"
    top_of = "return document.getElementById(arguments[0]).getBoundingClientRect().top"
    assert browser.execute_script(laid_out, "run-5-title") is False
    assert browser.execute_script("return window.find('Conformance 6') && String(getSelection())") == "Conformance 6"
    height = browser.execute_script("return innerHeight")
    for number in (6, 2, 5):
        place = f"run-{number}-case-9"
        browser.get("about:blank")
        browser.get(f"{long.as_uri()}#{place}")
        assert 0 <= browser.execute_script(top_of, place) < height / 2
        assert browser.execute_script(laid_out, place) is True


def test_a_command_can_be_copied_and_a_plot_enlarged(page: webdriver.Chrome) -> None:
    assert page.find_elements(By.CSS_SELECTOR, "details:not([open]) .copy") == []
    button = seen(page, ".copy")[0]
    scrolled_to(page, button).click()
    WebDriverWait(page, 60).until(lambda _: button.text == "Copied")
    larger = seen(page, ".enlarge")[0]
    width = page.find_element(By.CSS_SELECTOR, "figure svg").rect["width"]
    scrolled_to(page, larger).click()
    dialog = page.find_element(By.TAG_NAME, "dialog")
    assert dialog.is_displayed()
    assert dialog.find_element(By.CSS_SELECTOR, "figure svg").rect["width"] > width
    dialog.send_keys(Keys.ESCAPE)
    WebDriverWait(page, 60).until_not(lambda _: page.find_elements(By.TAG_NAME, "dialog"))


def test_nothing_is_requested_and_nothing_of_the_server_runs(page: webdriver.Chrome, address: str) -> None:
    page.get("about:blank")
    for kind in ("performance", "browser"):
        page.get_log(kind)  # type: ignore[no-untyped-call]
    page.get(address)
    sent: list[str] = []
    for entry in page.get_log("performance"):  # type: ignore[no-untyped-call]
        message: dict[str, Any] = json.loads(entry["message"])["message"]
        if message["method"] == "Network.requestWillBeSent":
            sent.append(message["params"]["request"]["url"])
    assert [url for url in sent if not url.startswith(("file:", "about:", "data:"))] == []
    assert any(url.startswith("file:") for url in sent), "the log does record requests"
    complaints = page.get_log("browser")  # type: ignore[no-untyped-call]
    assert [entry["message"] for entry in complaints] == []
    with pytest.raises(Exception, match="no such alert"):
        page.switch_to.alert.text  # noqa: B018


def test_axe_finds_nothing_serious(browser: webdriver.Chrome, tmp_path: Path) -> None:
    # A few cases of each kind: axe looks at every node, which takes a busy machine minutes on the whole page.
    page = browser
    page.get(_write(tmp_path / "few.html", most=6))
    for node in page.find_elements(By.CSS_SELECTOR, "details.chapter, .attachments details"):
        page.execute_script("arguments[0].open = true", node)
    found = Axe().run(page)
    grave = [
        f"{fault['id']}: {fault['help']}: {fault['nodes'][0]['html'][:200]}"
        for fault in found["violations"]
        if fault["impact"] in ("serious", "critical")
    ]
    assert grave == []
    assert len(found["passes"]) > 10


@pytest.mark.parametrize("width", [1400, 400])
def test_nothing_sticks_out_to_the_side(page: webdriver.Chrome, width: int) -> None:
    page.execute_cdp_cmd(
        "Emulation.setDeviceMetricsOverride", {"width": width, "height": 900, "deviceScaleFactor": 1, "mobile": False}
    )
    try:
        inner, outer = page.execute_script(
            "return [document.documentElement.clientWidth, document.documentElement.scrollWidth]"
        )
    finally:
        page.execute_cdp_cmd("Emulation.clearDeviceMetricsOverride", {})
    assert outer <= inner


def test_without_a_script_everything_is_there(address: str, tmp_path: Path) -> None:
    driver = _driver(tmp_path, javascript=False)
    try:
        driver.get(address)
        assert not driver.find_element(By.CSS_SELECTOR, ".tools").is_displayed(), "no controls that do nothing"
        assert driver.find_element(By.CSS_SELECTOR, ".answer .word").text == "No"
        assert len(seen(driver, "#run-1 .cases tbody tr:not(.group)")) == len(mixed_run().cases)
        driver.find_element(By.CSS_SELECTOR, "details.others > summary").click()
        assert driver.find_element(By.CSS_SELECTOR, ".quiet .case summary").is_displayed()
    finally:
        driver.quit()
