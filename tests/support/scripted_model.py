"""A literal-minded reader of a SKILL.md: it does what stands there, and nothing else.

It knows how a step is written and none of the commands: the blocks it runs are those of the text that Claude Code sent,
their `<NAME>` filled with what earlier blocks really printed. What it cannot read literally is a Misread, since a
person's model would have to guess there.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Generator
from typing import Any, NamedTuple, Optional, Union

FENCE = re.compile(r"^```bash\n(.*?)\n```$", re.DOTALL | re.MULTILINE)
HEADING = re.compile(r"^## (\d+(?:\.\d+)?) .+$", re.MULTILINE)
ARGUMENTS = "## Arguments"
PRINTED = re.compile(r"^([A-Z][A-Z_]+)=(.*)$", re.MULTILINE)
PLACEHOLDER = re.compile(r"<([A-Z][A-Z_]+)>")
HARMLESS = re.compile(r"[A-Za-z0-9._-]+")
EXIT = re.compile(r"Exit code (\d+)\n?")
QUESTION = r'\((?P<header>[^)]+)\) "(?P<question>[^"]+)"'
ASK = re.compile(rf"^Ask {QUESTION}", re.MULTILINE)
FIRST = re.compile(r"`([A-Z_]+)` comes first, with\s+\"([^\"]+)\" behind its label")
WRITE = re.compile(
    r"^Read `(?P<guide>[^`]+)`(?P<more>(?:(?!; then)[^.]|\.(?! ))*); then write\s+`(?P<path>[^`]+)`\.", re.MULTILINE
)
NUMBERED = re.compile(r"^ *\d+(?:\t|\u2192)", re.MULTILINE)
READ = re.compile(r'^Say "(?P<say>[^"]+)" and read `(?P<path>[^`]+)`\.', re.MULTILINE)
ENTRIES = re.compile(r"(\d+)(?: to (\d+)| (or more))? entr(?:y|ies)")
CUT_SHORT = re.compile(r'If the block\'s last line occurs in it as well, run nothing; say "([^"]+)"; end')
ACTION = re.compile(
    r"`(?P<set>[A-Z_]+)=(?P<value>[^`]*)`"
    r"|`(?P<key>[A-Z_]+)` is (?P<whose>its|the first entry's) `(?P<member>\w+)`"
    r'|[Ss]ay "(?P<say>[^"]+)"'
    rf"|ask {QUESTION} with an option for each entry"
    r"|as below step (?P<like>\d+(?:\.\d+)?)"
    r"|\bstep (?P<step>\d+(?:\.\d+)?)"
    r"|\b(?P<word>report|relay|end|go on with it|[Ss]um up in one line|list every one in a numbered table)\b"
)


class Misread(Exception):
    """The text cannot be followed literally."""


# What the reader wants next, and what it gets.


class Bash(NamedTuple):
    """Run a command; `timeout` in milliseconds."""

    command: str
    timeout: int


class Read(NamedTuple):
    """Read a file."""

    path: str


class Write(NamedTuple):
    """Write a file."""

    path: str
    content: str


class Ask(NamedTuple):
    """Ask the person; an option is its label and its description."""

    header: str
    question: str
    options: list[tuple[str, str]]


Move = Union[Bash, Read, Write, Ask]
Author = Callable[[str, dict[str, str]], str]  # a file's path and the files that were read for it, to its content


class Output(NamedTuple):
    """What came of a tool; `status` None where the client refused to run it."""

    text: str
    status: Optional[int]

    @classmethod
    def of(cls, text: str, is_error: bool) -> Output:
        """A tool result as Claude Code writes it."""
        match = EXIT.match(text)
        if is_error and match:
            return cls(text[match.end() :], int(match[1]))
        return cls(text, None if is_error else 0)


Course = Generator[Move, Union[Output, str], None]


class Branch(NamedTuple):
    """A line below a step: a condition, or the label of an option; then what to do."""

    condition: str
    label: str
    actions: str


class Step(NamedTuple):
    """One step of the text."""

    number: str
    prose: str
    block: Optional[str]
    branches: list[Branch]


class Text:
    """A skill's text as the client sent it, taken apart."""

    def __init__(self, text: str) -> None:
        head, mark, tail = text.partition(f"\n{ARGUMENTS}\n")
        pieces = HEADING.split(head)
        self.preamble = pieces[0]
        self.steps = {number: _step(number, body) for number, body in zip(pieces[1::2], pieces[2::2])}
        self.about_arguments: str = ""
        self.arguments_block: Optional[str] = None
        if mark:
            self.about_arguments, self.arguments_block = _arguments(tail)
        timeout = re.search(r"`timeout` (\d+)", self.preamble)
        if not timeout:
            raise Misread("no timeout is named")
        self.timeout = int(timeout[1])

    def step(self, number: str) -> Step:
        """The step of that number."""
        if number not in self.steps:
            raise Misread(f"there is no step {number}")
        return self.steps[number]


def _arguments(tail: str) -> tuple[str, str]:
    """The last section's words and its block, which reaches to the end of the text whatever it holds."""
    about, mark, rest = tail.partition("```bash\n")
    block, closing, after = rest.rpartition("\n```")
    if not mark or not closing or after.strip():
        raise Misread("the text does not end with the block that holds the arguments")
    return about, block


def _step(number: str, body: str) -> Step:
    blocks = FENCE.findall(body)
    if len(blocks) > 1:
        raise Misread(f"step {number} has {len(blocks)} blocks")
    rest = FENCE.sub("", body)
    first = re.search(r"^- ", rest, re.MULTILINE)
    prose, lines = (rest[: first.start()], rest[first.start() :]) if first else (rest, "")
    items = [" ".join(item.split()) for item in re.split(r"^- ", lines, flags=re.MULTILINE)[1:]]
    return Step(number, prose.strip(), blocks[0] if blocks else None, [_branch(number, item) for item in items])


def _branch(number: str, item: str) -> Branch:
    option = re.fullmatch(r"\*\*([^*]+)\*\*: (.+)", item)
    if option:
        return Branch("", option[1], option[2])
    condition, colon, actions = item.partition(": ")
    if not colon:
        raise Misread(f"step {number}: {item!r} is no branch")
    return Branch(condition, "", actions)


class Reader:
    """Follows a text from step 0 to an end. `said` is what it told the person since it was last looked at.

    `author` makes up what a text leaves to its reader; without one there is nothing to be written.
    """

    def __init__(self, text: str, careless: bool = False, author: Optional[Author] = None) -> None:
        self.text = Text(text)
        if self.text.arguments_block is None:
            raise Misread(f"there is no {ARGUMENTS!r}")
        self.careless, self.author = careless, author
        self.read = ""
        self.said: list[str] = []
        self.values: dict[str, str] = {}
        self.printed: dict[str, str] = {}
        self.output = Output("", 0)
        self.json: Any = None
        self.entry: Any = None

    def run(self) -> Course:
        """All moves, one after the other."""
        number: Optional[str] = "0"
        while number is not None:
            number = yield from self._take(self.text.step(number))

    def _take(self, step: Step) -> Generator[Move, Union[Output, str], Optional[str]]:
        given = self.text.arguments_block if step.number == "0" else None
        ask, read, write = ASK.search(step.prose), READ.search(step.prose), WRITE.search(step.prose)
        if given:
            if self._cut_short(given):
                return None
            yield from self._bash(given)
            branch = self._first(step)
        elif step.block:
            yield from self._bash(self._fill(step.block, shell=True))
            branch = self._first(step)
        elif write:
            yield from self._write(write)
            branch = self._first(step)
        elif ask:
            label = yield from self._ask(ask, [(b.label, _description(b.actions)) for b in step.branches], step.prose)
            branch = next(b for b in step.branches if b.label == label)
        elif read:
            self.said.append(read["say"])
            found = self._output((yield Read(read["path"])))
            self.read = NUMBERED.sub("", found.text)
            branch = step.branches[0 if found.status == 0 else 1]
        elif step.branches and not step.prose:
            branch = self._first(step)
        else:
            raise Misread(f"step {step.number} says neither what to run nor what to ask")
        return (yield from self._act(branch.actions))

    def _cut_short(self, block: str) -> bool:
        """Whether the arguments hold their own last line, which the text has an answer to."""
        lines = block.split("\n")
        rule = CUT_SHORT.search(" ".join(self.text.about_arguments.split()))
        if not rule:
            raise Misread("nothing is said of arguments that hold their own end")
        if self.careless or lines[-1] not in lines[1:-1]:
            return False
        self.said.append(rule[1])
        return True

    # Tools

    def _bash(self, command: str) -> Generator[Move, Union[Output, str], None]:
        """Run a step's block and keep what it printed."""
        self.output = self._output((yield Bash(command, self.text.timeout)))
        self.printed = dict(PRINTED.findall(self.output.text))
        self.values.update(self.printed)
        self.json = self.entry = None
        for line in self.output.text.splitlines():
            if line.startswith(("[", "{")):
                try:
                    self.json = json.loads(line)
                except ValueError:
                    continue

    def _write(self, match: re.Match[str]) -> Generator[Move, Union[Output, str], None]:
        """Read what a step names, as far as it is there, and write what it asks for."""
        path = self._fill(match["path"])
        sources = {}
        for source in [match["guide"], *re.findall(r"`([^`]+)`", match["more"])]:
            found = self._output((yield Read(self._fill(source))))
            if found.status == 0:
                sources[source.rpartition("/")[2]] = NUMBERED.sub("", found.text)
        if not self.author:
            raise Misread(f"nobody knows what to write into {path}")
        self.output = self._output((yield Write(path, self.author(path, sources))))
        if self.output.status != 0:
            raise Misread(f"{path} was not written: {self.output.text}")

    @staticmethod
    def _output(received: Union[Output, str]) -> Output:
        if not isinstance(received, Output):
            raise Misread(f"{received!r} is no tool's output")
        return received

    def _ask(
        self, match: re.Match[str], options: list[tuple[str, str]], prose: str
    ) -> Generator[Move, Union[Output, str], str]:
        """The label that was picked, as it stands in the text."""
        labels = [label for label, _ in options]
        first = FIRST.search(prose)
        wanted = self.values.get(first[1], "") if first else ""
        if first and wanted in labels:
            options = sorted(options, key=lambda option: option[0] != wanted)
            options[0] = (f"{wanted}{first[2]}", options[0][1])
        shown = [(label, self._fill(description)) for label, description in options]
        answer = yield Ask(match["header"], self._fill(" ".join(match["question"].split())), shown)
        if not isinstance(answer, str):
            raise Misread(f"{answer!r} is no answer")
        picked = answer.replace(first[2], "") if first else answer
        if picked not in labels:
            raise Misread(f"{answer!r} is none of {labels}")
        return picked

    # Branches

    def _first(self, step: Step) -> Branch:
        for branch in step.branches:
            if self._holds(branch.condition):
                return branch
        raise Misread(f"step {step.number}: nothing is said of {self.output!r}")

    def _holds(self, condition: str) -> bool:
        return all(self._holds_one(part) for part in condition.split(" and "))

    def _holds_one(self, condition: str) -> bool:
        if condition in ("any exit", "any other exit", "written"):
            return True
        patterns = {
            r"exit (\d+)": lambda m: self.output.status == int(m[1]),
            r"`([A-Z_]+)=([^`]*)`": lambda m: self.printed.get(m[1]) == m[2],
            r"`([A-Z_]+)` printed": lambda m: m[1] in self.printed,
            r"`([A-Z_]+)` is empty": lambda m: not self.values.get(m[1]),
            r"`([A-Z_]+)` is not empty": lambda m: bool(self.values.get(m[1])),
            ENTRIES.pattern: self._counts,
        }
        for pattern, holds in patterns.items():
            match = re.fullmatch(pattern, condition)
            if match:
                return bool(holds(match))
        raise Misread(f"{condition!r} is no condition")

    def _counts(self, match: re.Match[str]) -> bool:
        if self.json is None or self.output.status != 0:
            return False
        low, high, more = match.groups()
        return int(low) <= len(self._entries()) <= (10**9 if more else int(high or low))

    def _entries(self) -> list[Any]:
        """The JSON that was printed, or the one list in it."""
        lists = [self.json] if isinstance(self.json, list) else [v for v in self.json.values() if isinstance(v, list)]
        if len(lists) != 1:
            raise Misread(f"{self.json!r} is no list")
        return list(lists[0])

    # Actions

    def _act(self, actions: str) -> Generator[Move, Union[Output, str], Optional[str]]:
        for match in ACTION.finditer(actions):
            if match["set"]:
                self.values[match["set"]] = self._fill(match["value"])
            elif match["key"]:
                self._take_over(match)
            elif match["say"]:
                self.said.append(self._fill(match["say"]))
            elif match["question"]:
                entries = self._entries()
                options = [(entry["name"], entry["description"] or entry["name"]) for entry in entries]
                label = yield from self._ask(match, options, "")
                self.entry = next(entry for entry in entries if entry["name"] == label)
            elif match["like"]:
                return (yield from self._act(self._first(self.text.step(match["like"])).actions))
            elif match["step"]:
                return match["step"]
            elif match["word"] == "report":
                yield from self._report()
            elif match["word"] == "go on with it":
                self.text = Text(self.read)
                return "0"
            elif match["word"] == "end":
                return None
            else:
                self._tell(match["word"])
        raise Misread(f"{actions!r} names no next step")

    def _take_over(self, match: re.Match[str]) -> None:
        if match["whose"] == "its":
            source = self.entry or (self._entries()[0] if isinstance(self.json, list) else self.json)
        else:
            source = self._entries()[0]
        self.values[match["key"]] = source[match["member"]] or ""

    def _report(self) -> Generator[Move, Union[Output, str], None]:
        """Run the block that reports, and show what it prints."""
        if "RESULT_JSON" not in self.printed:
            self._relay()
            return
        block = self.text.step("6").block
        if not block:
            raise Misread("step 6 has no block")
        # Words of the server, not values: nothing in them is kept.
        shown = self._output((yield Bash(self._fill(block, shell=True), self.text.timeout)))
        self.said.append(shown.text.strip())

    def _relay(self) -> None:
        """Show what the block said in words."""
        self.said += [line for line in self.output.text.strip().splitlines() if not line.startswith(("{", "["))]

    def _tell(self, what: str) -> None:
        if what == "relay":
            self._relay()
        elif what.lower() == "sum up in one line":
            self.said.append(f"{self.values.get('SKILL_NAME', '')}: {self.values.get('OUTCOME', 'nothing done')}.")
        else:
            for number, entry in enumerate(self._entries(), 1):
                self.said.append(f"{number}. {entry['name']} ({entry['scope']}) {entry['description']}")

    def _fill(self, text: str, shell: bool = False) -> str:
        """`text` with its placeholders filled; in a shell's block as the text itself says."""

        def value(match: re.Match[str]) -> str:
            found = self.values.get(match[1])
            if not found:
                raise Misread(f"<{match[1]}> has no value")
            if not shell:
                return found
            quoted = match.string.count('"', 0, match.start()) % 2 == 1
            if not quoted and not HARMLESS.fullmatch(found):
                raise Misread(f"<{match[1]}> stands unquoted for {found!r}")
            return re.sub(r'(["$`\\])', r"\\\1", found) if quoted else found

        return PLACEHOLDER.sub(value, text)


def _description(actions: str) -> str:
    """What an option says before it says what to do."""
    first = ACTION.search(actions)
    return actions[: first.start() if first else None].strip(" .") or "-"
