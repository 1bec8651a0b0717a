"""The review page in a browser: the whole of a review, and everything that may go wrong during one."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import subprocess
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any, Optional

import pytest

from mega_code.hitl.review_server import review, stop_review, wait_review
from support.review import feedback, iteration
from support.room import Room

if TYPE_CHECKING:
    from playwright.sync_api import Browser, BrowserContext, Page

SECONDS = 15.0
# Everything that a page may not do leaves a trace here, wherever it happens.
WATCH = """
window.canary = [];
document.addEventListener("securitypolicyviolation", (event) => window.canary.push(event.violatedDirective));
window.alert = window.confirm = window.prompt = () => window.canary.push("dialog");
"""
HOSTILE = """# <script>canary.push("script")</script>

<img src=x onerror='canary.push("handler")'><svg onload=canary.push("svg")><iframe srcdoc="<script>parent.canary.push(1)</script>">
[click](javascript:canary.push("link")) ![x](javascript:canary.push("image")) <javascript:canary.push("auto")>
[data](data:text/html,<script>canary.push("data")</script>) [ok](https://example.invalid/"onmouseover="canary.push('over'))
</textarea></pre></div></article><form action=//evil><input autofocus onfocus=canary.push("focus")>
<style>*{display:none}</style><base href=//evil><meta http-equiv=refresh content="0;url=//evil">
| <b onclick=canary.push(1)> | `</code><script>canary.push("code")</script>` |
|---|---|
| </script><script>canary.push("end")</script> | \u202e<!-- |

"""


@pytest.fixture
def context(browser: Browser) -> Iterator[BrowserContext]:
    made = browser.new_context(viewport={"width": 1280, "height": 860})
    made.add_init_script(WATCH)
    made.set_default_timeout(SECONDS * 1000)
    yield made
    made.close()


@pytest.fixture
def folder(room: Room) -> Iterator[Path]:
    yield iteration(room.root)
    for other in room.root.glob("iteration-*"):
        stop_review(other)


def opened(context: BrowserContext, folder: Path, blind: bool = False) -> Page:
    page = context.new_page()
    page.goto(review(folder, blind=blind)["url"])
    page.wait_for_selector("#status[data-kind=ok]")
    return page


def until(true: Callable[[], Any], what: str) -> None:
    deadline = time.monotonic() + SECONDS
    while not true():
        assert time.monotonic() < deadline, what
        time.sleep(0.05)


def kept(folder: Path, case: str = "leap-second") -> Optional[dict[str, Any]]:
    """What the file holds for a case; None for nothing."""
    found: Optional[dict[str, Any]] = feedback(folder)["cases"].get(case)
    return found


def says(folder: Path, text: str, case: str = "leap-second") -> None:
    until(lambda: (kept(folder, case) or {}).get("text") == text, f"{text!r} was not saved")


def unharmed(page: Page) -> None:
    assert page.evaluate("window.canary") == []


def test_a_whole_review_with_a_reload_in_the_middle(context: BrowserContext, folder: Path) -> None:
    iteration(folder.parent, 2, arms=("with_skill", "baseline", "previous"), repeats=2)
    page = opened(context, folder.parent / "iteration-2")
    folder = folder.parent / "iteration-2"
    assert "token" not in page.url
    assert page.locator("#overview .arms tbody tr").count() == 3
    decisions = page.locator("#overview .decision strong").all_inner_texts()
    assert decisions == ["Not settled, against previous skill", "Not settled, against no skill"]
    page.click("nav a[href='#case-1']")
    case = page.locator("#case-1")
    assert "Write the changelog entry for 4.2.0" in case.locator(".task").inner_text()
    assert case.locator(".output:visible").count() == 2
    assert case.locator(".output:visible h3").all_inner_texts() == [
        "Previous skill\n3 of 3 met · 1,480 tokens in, 171 out",
        "Current skill\n3 of 3 met · 1,614 tokens in, 188 out",
    ]
    assert case.locator(".output:visible h5").first.inner_text() == "4.2.0"
    case.locator(".quote[data-arm=A]:visible").last.click()
    assert case.locator("mark.here:visible").all_inner_texts() == ["chore: bump actions/checkout"]
    page.click("text=Difference")
    assert case.locator(".difference:visible .gone td").last.inner_text().startswith("Let me know")
    page.click(".controls >> text=Raw")
    assert case.locator(".raw:visible").first.inner_text().startswith("# Changelog")
    page.click("[data-set=repeat][value='1']")
    assert "Run 2 of leap-second" in case.locator(".raw:visible").first.inner_text()
    case.locator("textarea").press_sequentially("Leave out the chore", delay=2)
    case.locator("text=No difference").click()
    says(folder, "Leave out the chore")
    case.locator("textarea").press_sequentially(", please.")
    page.reload()
    page.wait_for_selector("#status[data-kind=ok]")
    assert page.url.endswith("#case-1") and case.is_visible()
    assert case.locator("textarea").input_value() == "Leave out the chore, please."
    says(folder, "Leave out the chore, please.")
    assert kept(folder) == {"text": "Leave out the chore, please.", "preference": "tie"}
    page.click("nav a[href='#finish']")
    page.fill("#text-all", "Fewer tables.")
    assert page.inner_text("#summary") == "1 of 3 cases with feedback · 1 with a vote: No difference 1"
    page.click("#submit")
    page.wait_for_selector("text=The review is submitted.")
    assert wait_review(folder, SECONDS)
    assert feedback(folder)["overall"] == {"text": "Fewer tables."} and feedback(folder)["state"] == "submitted"
    assert page.locator("#text-all").get_attribute("readonly") is not None
    unharmed(page)


def test_a_blind_review_names_nobody_until_it_is_submitted(context: BrowserContext, folder: Path) -> None:
    page = opened(context, folder, blind=True)
    source = page.content()
    assert not [word for word in ("with_skill", "baseline", "previous", "No skill", "Current skill") if word in source]
    page.keyboard.press("j")
    assert page.locator("#case-1 .output:visible h3").all_inner_texts() == ["Output A", "Output B"]
    written_by_a = page.locator("#case-1 .output[data-arm=A] .rendered").inner_text()
    page.keyboard.press("1")
    until(lambda: kept(folder), "the vote was not saved")
    chosen = (kept(folder) or {})["preference"]
    assert chosen == ("baseline" if "Let me know" in written_by_a else "with_skill")
    page.click("nav a[href='#finish']")
    page.click("#submit")
    page.wait_for_selector("text=The review is submitted.")
    label = {"baseline": "No skill", "with_skill": "Current skill"}[chosen]
    assert page.inner_text("#summary").endswith(f"1 with a vote: {label} 1")
    page.click("nav a[href='#overview']")
    assert page.locator("#overview .arms tbody tr").count() == 2
    unharmed(page)


def test_a_review_with_the_keyboard_alone(context: BrowserContext, folder: Path) -> None:
    page = opened(context, folder)
    key = page.keyboard.press
    key("j")
    key("ArrowRight")
    assert page.locator("#case-2").is_visible()
    key("k")
    assert page.evaluate("document.activeElement.textContent").startswith("Case 1 of 3")
    for view in ("raw", "difference", "rendered"):
        key("v")
        assert page.locator(f"#case-1 .{view}:visible").count() > 0
    key("2")
    key("f")
    page.keyboard.type("j k v 0 are letters here")
    key("Escape")
    says(folder, "j k v 0 are letters here")
    assert (kept(folder) or {})["preference"] == "with_skill"
    key("Shift+Tab")
    assert page.evaluate("[document.activeElement.type, getComputedStyle(document.activeElement).outlineStyle]") == [
        "radio",
        "solid",
    ]
    key("j")
    key("0")
    until(lambda: (kept(folder, "breaking-flag") or {}).get("preference") == "tie", "the vote was not saved")
    key("j")
    key("j")
    key("f")
    page.keyboard.type("All in all fine.")
    while page.evaluate("document.activeElement.id") != "submit":
        key("Tab")
    key("Enter")
    page.wait_for_selector("text=The review is submitted.")
    assert feedback(folder)["overall"]["text"] == "All in all fine."


def test_a_hostile_output_runs_nothing(context: BrowserContext, room: Room) -> None:
    huge = HOSTILE + "x<b>" * (5 * 1024 * 1024 // 4)
    texts = {("leap-second", "with_skill"): huge, ("leap-second", "baseline"): HOSTILE}
    hostile = "<img src=x onerror=canary.push(1)>"
    cases = [("leap-second", HOSTILE, (hostile, "names the version")), (hostile, hostile, ("names the version",))]
    folder = iteration(room.root, texts=texts, cases=cases)
    asked: list[str] = []
    page = context.new_page()
    page.on("request", lambda request: asked.append(request.url))
    try:
        url = review(folder)["url"]
        page.goto(url)
        page.wait_for_selector("#status[data-kind=ok]")
        page.keyboard.press("j")
        for view in ("rendered", "raw", "difference"):
            page.click(f"[data-set=view][value={view}]")
            unharmed(page)
        page.click("[data-set=view][value=rendered]")
        shown = page.locator("#case-1 .output[data-arm=B]")
        for text in ("click", "data"):
            assert page.locator(f"#case-1 .rendered a:text-is('{text}')").count() == 0
        assert (
            page.locator("#case-1 .rendered :is(script, img, svg, iframe, form, input, style, base, meta)").count() == 0
        )
        began = time.monotonic()
        shown.locator("button.all").click()
        shown.locator(".piece").first.wait_for()
        assert shown.locator(".raw").evaluate("one => one.textContent.length") == len(huge)
        page.fill("#text-1", "still quick")
        says(folder, "still quick")
        assert time.monotonic() - began < 10
        page.fill("#text-1", '</textarea><script>canary.push("own")</script>')
        says(folder, '</textarea><script>canary.push("own")</script>')
        page.reload()
        page.wait_for_selector("#status[data-kind=ok]")
        unharmed(page)
        assert all(one.startswith(url.partition("?")[0]) or one == "data:," for one in asked)
        # The watch itself works: what the policy forbids is seen.
        page.evaluate(
            "document.body.append(Object.assign(document.createElement('img'), {src: 'http://127.0.0.1:9/'}))"
        )
        until(lambda: page.evaluate("window.canary") == ["img-src"], "the policy let an image through")
    finally:
        stop_review(folder)


def test_closing_the_tab_at_once_loses_nothing(context: BrowserContext, folder: Path) -> None:
    # The pause after the last key never ends, so that only leaving saves.
    context.add_init_script("const wait = setTimeout; window.setTimeout = (f, ms) => (ms === 400 ? 0 : wait(f, ms));")
    page = opened(context, folder)
    page.keyboard.press("j")
    page.fill("#text-1", "last words")
    page.keyboard.press("Escape")
    page.keyboard.press("1")
    assert page.inner_text("#status") == "Saving…" and kept(folder) is None
    page.close()
    says(folder, "last words")
    assert kept(folder) == {"text": "last words", "preference": "baseline"}


def test_two_tabs_do_not_silently_overwrite_each_other(context: BrowserContext, folder: Path) -> None:
    one, other = opened(context, folder), opened(context, folder)
    for page in (one, other):
        page.evaluate("location.hash = '#case-1'")
    other.fill("#text-1", "of the other tab")
    says(folder, "of the other tab")
    one.fill("#text-1", "of the one tab")
    one.wait_for_selector("#case-1 .conflict:visible")
    assert one.inner_text("#case-1 .conflict blockquote") == "of the other tab"
    assert one.inner_text("#status") == "Changed in another tab"
    assert (kept(folder) or {})["text"] == "of the other tab"
    one.click("text=Keep what is here")
    says(folder, "of the one tab")
    one.wait_for_selector("#status[data-kind=ok]")
    other.bring_to_front()
    other.evaluate("window.dispatchEvent(new Event('focus'))")
    until(lambda: other.input_value("#text-1") == "of the one tab", "the other tab does not know")


def test_news_that_is_older_than_what_was_saved_since_changes_nothing(context: BrowserContext, folder: Path) -> None:
    page = opened(context, folder)
    page.keyboard.press("j")
    held: list[Any] = []
    page.route("**/state", lambda route: held.append((route, route.fetch())))
    page.evaluate("window.dispatchEvent(new Event('focus'))")
    deadline = time.monotonic() + SECONDS
    while not held and time.monotonic() < deadline:
        page.wait_for_timeout(20)
    page.fill("#text-1", "newer")
    says(folder, "newer")
    page.wait_for_selector("#status[data-kind=ok]")
    for route, response in held:
        with page.expect_response("**/state"):
            route.fulfill(response=response)
    page.wait_for_timeout(100)
    assert held and page.input_value("#text-1") == "newer"


def test_two_reviews_at_once_do_not_meet(context: BrowserContext, folder: Path) -> None:
    second = iteration(folder.parent, 2)
    pages = [opened(context, one) for one in (folder, second)]
    for number, page in enumerate(pages):
        page.keyboard.press("j")
        page.fill("#text-1", f"of review {number}")
    says(folder, "of review 0")
    says(second, "of review 1")


def test_a_page_outlives_the_kill_of_its_server(context: BrowserContext, folder: Path) -> None:
    page = opened(context, folder)
    page.keyboard.press("j")
    page.fill("#text-1", "before")
    says(folder, "before")
    os.kill(review(folder)["pid"], signal.SIGKILL)
    page.fill("#text-1", "while it was down")
    page.wait_for_selector("text=could not be saved")
    assert page.inner_text("#status") == "Not saved"
    with page.expect_download() as download:
        page.click(".trouble >> text=Download feedback.json")
    assert json.loads(Path(download.value.path()).read_text())["cases"]["leap-second"]["text"] == "while it was down"
    review(folder)
    page.click(".trouble >> text=Try again")
    page.wait_for_selector("#status[data-kind=ok]")
    says(folder, "while it was down")
    assert not page.locator(".trouble").is_visible()


def test_what_was_typed_while_the_server_was_down_is_there_in_a_new_tab(context: BrowserContext, folder: Path) -> None:
    page = opened(context, folder)
    page.keyboard.press("j")
    os.kill(review(folder)["pid"], signal.SIGKILL)
    page.fill("#text-1", "typed in vain?")
    page.wait_for_selector("text=could not be saved")
    page.close(run_before_unload=False)
    later = opened(context, folder)
    says(folder, "typed in vain?")
    assert later.input_value("#text-1") == "typed in vain?"


def test_a_full_disk_is_said_and_nothing_is_lost(context: BrowserContext, room: Room) -> None:
    disk = room.root / "disk"
    disk.mkdir()
    command = ["mount", "-t", "tmpfs", "-o", "size=1m", "tmpfs", str(disk)]
    if os.geteuid() or subprocess.run(command, capture_output=True, check=False).returncode:
        pytest.skip("a small file system cannot be mounted here; that takes root")
    folder = iteration(disk)
    try:
        page = opened(context, folder)
        page.keyboard.press("j")
        page.fill("#text-1", "before")
        says(folder, "before")
        ballast = disk / "ballast"
        with contextlib.suppress(OSError), open(ballast, "wb", buffering=0) as stream:
            while True:
                stream.write(b"\0" * 4096)
        page.fill("#text-1", "y" * 9000)
        page.wait_for_selector("text=No space left on device")
        assert page.inner_text("#status") == "Not saved"
        assert (kept(folder) or {})["text"] == "before"
        page.click("nav a[href='#finish']")
        page.click("#submit")
        assert feedback(folder)["state"] == "open"
        ballast.unlink()
        says(folder, "y" * 9000)
        page.wait_for_selector("#status[data-kind=ok]")
    finally:
        stop_review(folder)
        subprocess.run(["umount", "--lazy", str(disk)], check=True)


def test_a_static_page_is_filled_in_and_downloaded(context: BrowserContext, folder: Path) -> None:
    path = folder.parent / "a page.html"
    review(folder, static=path)
    page = context.new_page()
    page.goto(path.as_uri())
    page.keyboard.press("j")
    page.keyboard.press("1")
    page.fill("#text-1", "Good enough.")
    page.reload()
    assert page.input_value("#text-1") == "Good enough."
    page.click("nav a[href='#finish']")
    assert not page.locator("#submit").is_visible()
    with page.expect_download() as download:
        page.click("#download")
    value = json.loads(Path(download.value.path()).read_text())
    assert download.value.suggested_filename == "feedback.json"
    assert value["cases"] == {"leap-second": {"text": "Good enough.", "preference": "baseline"}}
    assert (value["state"], value["blind"], value["overall"]) == ("submitted", False, {"text": ""})
    unharmed(page)


def test_nothing_is_cut_off_at_any_width(context: BrowserContext, folder: Path) -> None:
    page = opened(context, folder)
    for view in ("overview", "case-1", "finish"):
        page.click(f"nav a[href='#{view}']")
        for width in (400, 700, 961, 1600):
            page.set_viewport_size({"width": width, "height": 800})
            for _ in range(3):
                page.keyboard.press("v")
                assert page.evaluate("document.documentElement.scrollWidth") <= width, f"{view} at {width}"
