"""Taking a model's answer apart."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mega_code.evaluation.answers import first_json_in, json_in, proposal_in


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ('{"a": 1}', {"a": 1}),
        ("Here it is:\n```json\n[1, 2]\n```\nGood luck {x}", [1, 2]),
        ('Sure [see below].\n\n{"a": [1]} and more', {"a": [1]}),
        ("Sure [1]:\r\n  ```json\r\n{}\r\n  ```\r\nor [2, 3, 4]", {}),
        ("nothing", None),
        ("{" * 10_000, None),
        ("[" * 100_000, None),
    ],
)
def test_the_json_is_found_among_words(text: str, value: Any) -> None:
    assert json_in(text) == value


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ('As [1] says: {"a": 1}', [1]),
        ('{} or {"a": 1}', {}),
        ('A set {x} and ```\n{"a": [1]}\n``` [1, 2, 3, 4, 5]', {"a": [1]}),
        ("1, true", None),
    ],
)
def test_the_first_json_in_an_output_is_the_first_that_is_an_object_or_a_list(text: str, value: Any) -> None:
    assert first_json_in(text) == value


@pytest.mark.parametrize(
    ("answer", "text"),
    [
        ("plain words", "plain words\n"),
        ("---\nname: a\n---\n```\nx\n```", "---\nname: a\n---\n```\nx\n```\n"),
        ("So:\n```\nnew\n```\n```\nother\n```", "new\n"),
        ("So:\n~~~~\n# A\n```bash\nls\n```\nend\n~~~~\nthanks", "# A\n```bash\nls\n```\nend\n"),
        ("````markdown\n# A\n```\nls\n```\nend\n````", "# A\n```\nls\n```\nend\n"),
        ("```markdown\n# A\n```bash\nls\n```\nend\n```\nthanks", "# A\n```bash\nls\n```\nend\n"),
        ("```markdown\n# A\n```bash\nls\n```", "# A\n```bash\nls\n"),
        ("```md\nnever closed", "never closed\n"),
        ("So:\n\n   ~~~~\n   # A\n     b\n  c\n  ~~~~\nGood luck.", "# A\n  b\nc\n"),
        ("1. So:\n ```\n x\n ```\n", "x\n"),
        ("So:\n    ```\n    code\n    ```", "So:\n    ```\n    code\n    ```\n"),
        ("So:\r\n~~~~\r\n# A\r\nb\r\n~~~~\r\nthanks\r\n", "# A\nb\n"),
        ("---\r\nname: a\r---\r\n", "---\nname: a\n---\n"),
    ],
)
def test_a_proposal_is_the_whole_or_its_first_block(answer: str, text: str) -> None:
    assert proposal_in(answer) == text


@given(st.text(alphabet='`~- a\n{["', max_size=60))
def test_no_answer_breaks_it(text: str) -> None:
    json_in(text), first_json_in(text)
    assert proposal_in(text).endswith("\n")
