"""The page as a person uses it, in a real browser, with the shipped models: no error, and the right answers."""

import os
import re
import shutil
from collections.abc import Iterator

import pytest
from playwright.sync_api import Page, Request, expect, sync_playwright

from tests.bundles import MODELS, shipped
from tests.serving.servers import ThreadedServer, start

pytestmark = pytest.mark.slow

CHROMIUM = os.environ.get("CHROMIUM") or shutil.which("chromium") or shutil.which("google-chrome")
# The first lets it run as root in a container; the rest keep it from looking for hosts that are not there.
FLAGS = [
    "--no-sandbox",
    "--disable-gpu",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
]


@pytest.fixture(scope="module")
def server() -> Iterator[ThreadedServer]:
    with start(models=MODELS) as running:
        yield running


@pytest.fixture
def page(server: ThreadedServer) -> Iterator[Page]:
    if CHROMIUM is None:
        if os.environ.get("CI"):
            pytest.fail("CI has no Chromium: .ci/run installs it")
        pytest.skip("no Chromium: apt-get install chromium, or set CHROMIUM")
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=FLAGS)
        opened, faults = browser.new_page(), list[str]()
        opened.on("pageerror", lambda error: faults.append(str(error)))
        opened.on(
            "console", lambda told: faults.append(told.text) if "Content Security" in told.text else None
        )
        opened.on("requestfailed", lambda request: _note(request, faults))
        opened.goto(server.url)
        yield opened
        browser.close()
        assert not faults


def _note(request: Request, faults: list[str]) -> None:
    if request.failure != "net::ERR_ABORTED":  # a question under way when the page is left
        faults.append(f"{request.url}: {request.failure}")


def _choose(page: Page, model: str) -> None:
    page.locator("#models").get_by_text(model, exact=True).click()
    expect(page.locator("#sheet h2")).to_have_text(model)


def test_an_image_is_named(page: Page) -> None:
    _choose(page, "fashion")
    page.set_input_files("input[type=file]", shipped("fashion") / "golden" / "00.png")
    expect(page.locator(".bar").first).to_contain_text("T-shirt/top")
    expect(page.locator(".legend")).to_contain_text("batch of 1")


def test_an_address_names_a_model_and_follows_what_is_chosen(page: Page, server: ThreadedServer) -> None:
    for address in ("#reviews", f"#reviews/{shipped('reviews').name}"):
        page.goto("about:blank")
        page.goto(f"{server.url}/{address}")
        expect(page.locator("#sheet h2")).to_have_text("reviews")
    asked: list[str] = []
    page.on("request", lambda request: asked.append(request.url))
    _choose(page, "fashion")
    assert [url.endswith("/v1/models/fashion") for url in asked].count(True) == 1
    expect(page).to_have_url(re.compile(rf"#fashion/{shipped('fashion').name}$"))
    page.go_back()
    expect(page.locator("#sheet h2")).to_have_text("reviews")
    page.goto("about:blank")
    page.goto(f"{server.url}/#none%")
    expect(page.locator("#sheet h2")).to_have_text("fashion")  # the first that is there


def test_a_file_that_is_no_image_is_answered_with_its_fault(page: Page) -> None:
    _choose(page, "fashion")
    page.set_input_files("input[type=file]", shipped("fashion") / "card.md")
    expect(page.locator("#answer .fault")).to_contain_text("expected")


def test_a_text_is_judged(page: Page) -> None:
    _choose(page, "reviews")
    page.get_by_role("textbox").fill("Dull, badly acted, and a waste of two hours.")
    page.get_by_role("button", name="Predict").click()
    expect(page.locator(".bar").first).to_contain_text("negative")


def test_a_history_is_continued(page: Page) -> None:
    _choose(page, "retail")
    expect(page.get_by_role("textbox")).not_to_have_value('{"instances":[{"history":[],"k":10}]}')
    page.get_by_role("button", name="Recommend").click()
    expect(page.locator("#answer li")).to_have_count(10)


def test_the_explanation_of_an_image_is_painted_over_it(page: Page) -> None:
    _choose(page, "fashion")
    explain = page.get_by_role("button", name="Explain")
    expect(explain).to_be_disabled()
    page.set_input_files("input[type=file]", shipped("fashion") / "golden" / "00.png")
    explain.click()
    expect(page.locator("#answer strong")).to_have_text("T-shirt/top")
    heat = page.locator(".heat canvas")
    image = page.locator(".heat img").bounding_box()
    assert image == heat.bounding_box()  # of a square image the model sees everything
    opacities = heat.evaluate(
        "canvas => [...canvas.getContext('2d').getImageData(0, 0, canvas.width, canvas.height).data]"
        ".filter((_, place) => place % 4 === 3)"
    )
    assert any(opacities)
    assert len(opacities) == 49
    # The scale is that of the probability: full from 50 points on, its root below, whatever the strongest cell is.
    told = re.search(r"the probability by .([\d.]+) points", page.locator("#answer").inner_text())
    assert told is not None
    expected = 0.8 * min(1, (float(told[1]) / 50) ** 0.5)
    assert max(opacities) / 255 == pytest.approx(expected, abs=0.02)
    expect(page.locator("#answer .scale")).to_contain_text("−50 or more")


def test_words_are_coloured_by_what_they_speak_for(page: Page) -> None:
    _choose(page, "reviews")
    text = "Dull 😀 and badly acted, but with wonderful music."
    page.get_by_role("textbox").fill(text)
    page.get_by_role("button", name="Explain").click()
    expect(page.locator(".words")).to_have_text(text)
    label = page.locator("#answer strong").inner_text()
    drops = {
        word: page.locator(".words mark").get_by_text(word, exact=True).get_attribute("title") or ""
        for word in ("badly", "wonderful")
    }
    against = "wonderful" if label == "negative" else "badly"
    assert {word for word, title in drops.items() if title.startswith("+")} == {against}


def test_items_of_a_history_are_listed_by_what_they_bring(page: Page) -> None:
    _choose(page, "retail")
    expect(page.get_by_role("textbox")).not_to_have_value('{"instances":[{"history":[],"k":10}]}')
    page.get_by_role("button", name="Explain").click()
    expect(page.locator(".bar.signed")).to_have_count(2)
    expect(page.locator(".bar.signed").first).to_contain_text("−")


def test_the_documentation_needs_no_other_host(page: Page, server: ThreadedServer) -> None:
    page.goto(f"{server.url}/docs")
    expect(page.get_by_role("heading", name="inference")).to_be_visible()


def test_the_documentation_tries_a_request_under_its_own_policy(page: Page, server: ThreadedServer) -> None:
    page.goto(f"{server.url}/docs")
    page.get_by_role("button", name="GET /v2/health/ready", exact=False).first.click()
    page.get_by_role("button", name="Try it out").click()
    page.get_by_role("button", name="Execute").click()
    expect(page.locator(".live-responses-table .response-col_status").last).to_contain_text("200")
    expect(page.locator(".live-responses-table")).to_contain_text('"ready": true')


def test_a_script_that_somebody_gets_into_a_page_does_not_run(page: Page, server: ThreadedServer) -> None:
    browser = page.context.browser
    assert browser is not None
    for path in ("", "docs"):
        attacked = browser.new_page()  # whose violations are no faults
        attacked.goto(f"{server.url}/{path}")
        ran = attacked.evaluate(
            """() => {
                const script = document.createElement("script");
                script.textContent = "window.ran = true";
                const violated = new Promise(done => document.addEventListener("securitypolicyviolation", done));
                document.body.append(script);
                return violated.then(() => window.ran === true);
            }"""
        )
        assert ran is False
