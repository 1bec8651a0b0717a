"""The page as a text: what stands in it for which files, and what does not."""

from __future__ import annotations

import json
import re
from html.parser import HTMLParser
from pathlib import Path
from typing import Any, Optional

import pytest

from mega_code.files import read_json, write_json
from mega_code.hitl import page
from mega_code.hitl.case_view import SHOWN_CHARACTERS, Space, case_view
from mega_code.hitl.review_data import load
from support.review import CASES, iteration


class Outline(HTMLParser):
    """The tags of a page, its ids, and the text of it."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.tags, self.ids, self.text = list[tuple[str, dict[str, Optional[str]]]](), list[str](), ""
        self.feed(html)

    def handle_starttag(self, name: str, attributes: list[tuple[str, Optional[str]]]) -> None:
        self.tags.append((name, dict(attributes)))
        self.ids += [value for key, value in attributes if key == "id" and value]

    def handle_data(self, text: str) -> None:
        self.text += text


def body(folder: Path, blind: bool = False) -> Outline:
    return Outline(page.body(load(folder), blind))


def changed(path: Path, **values: Any) -> None:
    write_json(path, {**(read_json(path) or {}), **values})


def test_every_part_of_a_case_is_there_once_for_each_repeat_and_pair(tmp_path: Path) -> None:
    shown = body(iteration(tmp_path, arms=("with_skill", "baseline", "previous"), repeats=2))
    classes = [str(attributes.get("class")).split()[0] for _, attributes in shown.tags]
    assert (classes.count("view"), classes.count("repeat")) == (5, 3 * 2)
    assert (classes.count("output"), classes.count("difference")) == (3 * 2 * 3, 3 * 2 * 3)
    assert len(set(shown.ids)) == len(shown.ids)
    labels = {attributes["for"] for name, attributes in shown.tags if name == "label" and "for" in attributes}
    assert labels == {"text-1", "text-2", "text-3", "text-all"} <= set(shown.ids)
    assert "1,614 tokens in, 188 out" in shown.text and "Every case was seen" in shown.text


def test_nothing_in_the_page_is_an_inline_style_a_handler_or_from_elsewhere(tmp_path: Path) -> None:
    for name, attributes in body(iteration(tmp_path)).tags:
        assert name not in ("script", "style", "img", "iframe", "link")
        assert not [key for key in attributes if key.startswith("on") or key in ("style", "src", "srcset", "action")]


def test_the_style_and_the_script_ask_for_nothing_and_make_no_markup() -> None:
    files = {name: (Path(page.__file__).parent / name).read_text("utf-8") for name in ("review.css", "review.js")}
    assert not re.search(r"@import|url\(|//", files["review.css"])
    assert not re.search(r"innerHTML|outerHTML|insertAdjacent|document\.write|eval\(|https?:", files["review.js"])
    assert not any("</s" in text for text in files.values())


def test_the_iteration_before_stands_beside_this_one(tmp_path: Path) -> None:
    first = iteration(tmp_path, 1)
    said = {"leap-second": {"text": "<i>Shorter</i>, please.", "preference": None}}
    write_json(first / "feedback.json", {"state": "submitted", "blind": False, "cases": said, "overall": {"text": ""}})
    shown = body(iteration(tmp_path, 2, arms=("with_skill", "baseline", "previous")))
    assert "What you said in iteration 1<i>Shorter</i>, please." in shown.text
    assert "Pass rate, iteration 1" in shown.text and "not measured" in shown.text
    assert "What changed in SKILL.md since iteration 1" in shown.text and "Rule 1." in shown.text
    (first / "benchmark.json").unlink()
    (first / "original" / "SKILL.md").unlink()
    without = body(tmp_path / "iteration-2")
    assert "Pass rate, iteration 1" not in without.text and "What changed" not in without.text


def test_a_review_goes_without_a_benchmark_and_without_some_outputs(tmp_path: Path) -> None:
    folder = iteration(tmp_path, repeats=2)
    (folder / "benchmark.json").unlink()
    runs = (read_json(folder / "runs.json") or {})["runs"]
    runs[1].update(text="", outcome="refused")
    runs[3].update(outcome="something new")
    changed(folder / "runs.json", runs=runs[1:])
    shown = body(folder)
    for words in ("no benchmark yet", "There is no output of this run.", "The model refused.", "something new"):
        assert words in shown.text
    assert "Verdicts" not in shown.text and "There is only one output." in shown.text


@pytest.mark.parametrize("value", [{}, {"arms": [], "cases": None}, {"arms": {"baseline": {}}, "comparisons": [None]}])
def test_a_benchmark_of_another_make_does_not_keep_the_outputs_from_being_seen(tmp_path: Path, value: object) -> None:
    folder = iteration(tmp_path)
    write_json(folder / "benchmark.json", value)
    assert "The clock no longer goes backwards" in body(folder).text


def test_evidence_is_a_way_to_its_place_only_where_it_stands_in_the_output(tmp_path: Path) -> None:
    folder = iteration(tmp_path)
    benchmark = read_json(folder / "benchmark.json") or {}
    verdicts = benchmark["cases"][0]["arms"]["with_skill"]["verdicts"]
    verdicts[1]["evidence"] = "The judge gave no list."
    write_json(folder / "benchmark.json", benchmark)
    html = case_view(load(folder), 1, False, Space())
    assert '<span class="why">The judge gave no list.</span>' in html
    quotes = set(re.findall(r'class="quote" data-arm="(\w)" data-quote="(\d)"', html))
    assert quotes == {("A", "0"), ("A", "1"), ("B", "0"), ("B", "2")}
    assert quotes == set(re.findall(r'data-arm="(\w)" data-quote="(\d)"', html))
    assert len(re.findall(r'<mark class="met" data-quote="2">', html)) >= 2, "in the rendered and in the raw text"


def test_a_long_output_is_cut_and_carried_whole_as_long_as_there_is_space(tmp_path: Path) -> None:
    text = "line\n" * 20_000
    folder = iteration(tmp_path, texts={("leap-second", "with_skill"): text}, cases=CASES[:1])
    html = case_view(load(folder), 1, False, Space())
    held = re.search(r'<script type="application/json" id="full-1-B-0">(.*?)</script>', html)
    assert held and json.loads(held.group(1)) == text
    assert len(html) < 2.5 * SHOWN_CHARACTERS + len(held.group(0)) + 200_000
    assert "The whole is in runs.json." in case_view(load(folder), 1, False, Space(len(text) - 1))
