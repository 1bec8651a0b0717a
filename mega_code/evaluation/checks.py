"""The static checks as cases and expectations, and what a skill scores on them."""

from __future__ import annotations

from statistics import fmean
from typing import Any, Callable, NamedTuple, Optional

from mega_code.evaluation import frontmatter_checks as front
from mega_code.evaluation import targets
from mega_code.evaluation import text_checks as text
from mega_code.evaluation.folder import Finding, Skill

SHOWN_FINDINGS = 10


class Expectation(NamedTuple):
    """One thing that is expected of a skill. `check` gives what is wrong, or None where it does not apply."""

    case: str
    id: str
    text: str
    check: Callable[[Skill], Optional[list[Finding]]]


class Verdict(NamedTuple):
    """`passed` is None where the expectation does not apply."""

    expectation: Expectation
    passed: Optional[bool]
    findings: tuple[Finding, ...]

    def as_json(self) -> dict[str, Any]:
        """`{"expectation","text","passed","evidence":[{"file","line","text"}],"findings"}`; evidence is cut short."""
        evidence = [finding._asdict() for finding in self.findings[:SHOWN_FINDINGS]]
        identity = {"expectation": self.expectation.id, "text": self.expectation.text, "passed": self.passed}
        return {**identity, "evidence": evidence, "findings": len(self.findings)}


class Report(NamedTuple):
    """The verdicts on one skill, by expectation, and its estimated tokens."""

    verdicts: dict[str, Verdict]
    tokens: float

    def cases(self) -> dict[str, list[Verdict]]:
        """The verdicts of the cases that have any expectation that applies."""
        cases: dict[str, list[Verdict]] = {}
        for verdict in self.verdicts.values():
            cases.setdefault(verdict.expectation.case, []).append(verdict)
        return {case: found for case, found in cases.items() if any(v.passed is not None for v in found)}

    def pass_rate(self) -> float:
        """Mean over the cases of the mean over their applicable expectations, 0 to 1."""
        return fmean(score(verdicts) for verdicts in self.cases().values())

    def failed(self) -> list[Verdict]:
        """The expectations that are not met."""
        return [verdict for verdict in self.verdicts.values() if verdict.passed is False]

    def findings(self) -> int:
        """How many things are wrong, over all expectations."""
        return sum(len(verdict.findings) for verdict in self.failed())


def score(verdicts: list[Verdict]) -> float:
    """The share of applicable expectations that are met, 0 to 1."""
    return fmean(float(verdict.passed) for verdict in verdicts if verdict.passed is not None)


def evaluate(skill: Skill) -> Report:
    """Every expectation, checked against one skill."""
    verdicts = {}
    for expectation in EXPECTATIONS:
        found = expectation.check(skill)
        passed = None if found is None else not found
        verdicts[expectation.id] = Verdict(expectation, passed, tuple(found or ()))
    return Report(verdicts, text.tokens(skill))


def _parses(kind: str) -> Callable[[Skill], Optional[list[Finding]]]:
    return lambda skill: skill.parsed.get(kind)


EXPECTATIONS = tuple(
    Expectation(*row)
    for row in (
        ("name", "name-there", "The frontmatter names the skill", front.name_is_there),
        ("name", "name-folder", "The name is that of the skill's folder", front.name_is_the_folders),
        ("description", "description-what", "The description says what the skill does", front.description_says_what),
        ("description", "description-when", "The description says when to use the skill", front.description_says_when),
        ("description", "description-person", "It is in the third person", front.description_is_third_person),
        ("description", "description-space", "It has no runs of white space", front.description_is_tidy),
        ("description", "description-plain", "It has no angle brackets", front.description_has_no_tags),
        ("frontmatter", "keys-known", "Every key is the specification's or Claude Code's", front.keys_are_known),
        ("frontmatter", "keys-place", "Author, version and tags stand below metadata", front.keys_are_in_metadata),
        ("frontmatter", "metadata-types", "Author and version are texts, tags a list of them", front.metadata_types),
        ("frontmatter", "tags", "The metadata has tags", front.tags_are_there),
        ("frontmatter", "tools-type", "allowed-tools is a text or a list of texts", front.allowed_tools),
        ("frontmatter", "tools-style", "A list of allowed-tools has one to a line", front.allowed_tools_in_block_style),
        ("frontmatter", "compatibility", "compatibility is a text of 1 to 500 characters", front.compatibility),
        ("disclosure", "body-there", "There are instructions", text.body_is_there),
        ("disclosure", "body-lines", f"The body has {text.BODY_LINES} lines at most", text.body_is_short),
        ("disclosure", "body-tokens", f"The body has about {text.BODY_TOKENS} tokens at most", text.body_is_light),
        ("disclosure", "references", "SKILL.md names every file below references/", text.references_are_named),
        ("links", "links", "Every relative link leads to a file of the skill", text.links_resolve),
        ("links", "anchors", "Every link within a page leads to a heading", targets.dead_anchors),
        ("links", "files", "Every bundled file that is run or named is there", targets.missing_files),
        ("files", "encoding", "References are UTF-8 texts that an agent can load", text.files_are_utf8),
        ("files", "python", "Every Python file parses", _parses("python")),
        ("files", "shell", "Every shell script parses", _parses("shell")),
        ("files", "json", "Every JSON file parses", _parses("json")),
        ("files", "yaml", "Every YAML file parses", _parses("yaml")),
        ("form", "line-ends", "Lines end in LF and there is no byte-order mark", text.line_ends),
        ("form", "fences", "Every code block is closed", text.fences),
        ("form", "comments", "Every HTML comment is closed", text.comments),
        ("form", "headings", "Every heading has a space after its #", text.headings),
        ("form", "repeats", "No paragraph is said twice", text.repeats),
        ("form", "doubled-words", "No word is said twice in a row", text.doubled_words),
        ("form", "trailing-space", "No line ends in white space that means nothing", text.trailing_space),
        ("form", "blank-lines", "There are no long runs of blank lines", text.blank_lines),
        ("form", "final-newline", "Every text ends with one line end", text.final_newline),
    )
)
