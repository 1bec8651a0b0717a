"""The picture of the review page in the README: `PYTHONPATH=.:tests python tests/browser/take_screenshot.py FILE.png`."""

from __future__ import annotations

import sys
import tempfile
from pathlib import Path

from playwright.sync_api import sync_playwright

from mega_code.files import write_json
from mega_code.hitl.review_server import review, stop_review
from support.review import CASES, GOOD, iteration

MORE = (
    ("security-fix", "A fix for CVE-2026-1203 went in. Write its entry.", ("names the CVE", "says who is affected")),
    ("long-list", "Forty commits, six of them notable. Write the entry.", ("leaves the chore out", "groups by kind")),
)
SAID = "Better: it says what a user notices. The table is too much for two lines; drop it unless something breaks."


def main(path: str) -> None:
    with tempfile.TemporaryDirectory() as room:
        before = GOOD.replace("monotonic", "in order")
        first = iteration(Path(room), 1, cases=[*CASES, *MORE])
        said = {"leap-second": {"text": "Say what a user notices, not what the code does.", "preference": None}}
        write_json(
            first / "feedback.json", {"state": "submitted", "blind": False, "cases": said, "overall": {"text": ""}}
        )
        arms = ("with_skill", "baseline", "previous")
        texts = {("leap-second", "previous"): before}
        folder = iteration(Path(room), 2, arms, 3, texts, [*CASES, *MORE])
        try:
            with sync_playwright() as playwright:
                browser = playwright.chromium.launch(executable_path="/usr/bin/chromium", args=["--no-sandbox"])
                page = browser.new_page(viewport={"width": 1360, "height": 1000})
                page.goto(review(folder)["url"])
                page.keyboard.press("j")
                page.keyboard.press("3")
                page.fill("#text-1", SAID)
                page.wait_for_selector("#status[data-kind=ok]")
                page.locator("#case-1 .quote:visible").last.click()
                page.evaluate("scrollTo(0, 0)")
                page.screenshot(path=path)
                browser.close()
        finally:
            stop_review(folder)


if __name__ == "__main__":
    main(sys.argv[1])
