"""What every enhanced skill keeps, whoever proposed its texts."""

from __future__ import annotations

from mega_code.evaluation import audit, spec, targets
from mega_code.evaluation.folder import Skill
from mega_code.evaluation.frontmatter_checks import description

GROWTH = 2


def broken(before: Skill, after: Skill) -> list[str]:
    """A sentence for each rule that `after` breaks; empty when it may be published.

    A link that led nowhere before is the author's to mend and breaks no rule; the stamp does not count as growth.
    Raises MegaCodeError `invalid_frontmatter` where the frontmatter of `after` cannot be read.
    """
    name = before.frontmatter.get("name", before.skill_id)
    size, limit = _size(after), GROWTH * _size(before)
    gone = {link.link.target for link in targets.broken_links(after)}
    gone -= {link.link.target for link in targets.broken_links(before)}
    length = len(description(after))
    flags = audit.red_flags(after.text) - audit.red_flags(before.text)
    rules = (
        (after.frontmatter.get("name") == name, "The name of the skill changed."),
        (bool(length), "The description is gone."),
        (
            length <= spec.DESCRIPTION_CHARACTERS,
            f"The description has {length} characters; {spec.DESCRIPTION_CHARACTERS} are allowed.",
        ),
        (not gone, f"A link leads nowhere: {', '.join(sorted(gone))[:200]}."),
        (not flags, f"There is a new red flag: {', '.join(sorted({rule for rule, _ in flags}))}."),
        (size <= limit, f"The texts grew from {limit // GROWTH} to {size} bytes."),
    )
    return [sentence for kept, sentence in rules if not kept]


def _size(skill: Skill) -> int:
    return len(description(skill).encode()) + sum(len(page.body.encode()) for page in skill.pages())
