"""One exception for everything that can go wrong, and the one table of its codes."""

from __future__ import annotations

from typing import NamedTuple, Optional

FINISHED = 0
CONFLICT = 2
TIMEOUT = 3
BAD_INPUT = 4
NETWORK = 5


class Code(NamedTuple):
    """What a code means, which exit status it ends in, and what to do about it."""

    exit_status: int
    meaning: str
    remedy: str
    upstream: bool = False


CODES: dict[str, Code] = {
    # The person's arguments.
    "invalid_arguments": Code(BAD_INPUT, "the command line cannot be understood", "Run the command with --help."),
    "missing_skill_name": Code(BAD_INPUT, "no skill was named", "Add --skill-name NAME."),
    "missing_install_location": Code(BAD_INPUT, "no scope was named", "Add --scope project or --scope global."),
    "invalid_skill_name": Code(
        BAD_INPUT, "the name is no skill name", "Use lower-case letters, digits and inner hyphens, 64 at most."
    ),
    "invalid_job_id": Code(BAD_INPUT, "the job id is no UUID", "Copy the id from the output of the submission."),
    "invalid_path": Code(BAD_INPUT, "a path cannot be used", "Correct the path that the message names."),
    "skill_not_found": Code(
        BAD_INPUT, "no such skill in the project or global scope", "Pick a name from scripts/skills.sh list --all."
    ),
    "ambiguous_skill": Code(BAD_INPUT, "the name fits several skills", "Name one of the candidates in full."),
    "plugin_cache_project_dir": Code(
        BAD_INPUT, "the project folder lies in Claude Code's plugin folder", "Set CLAUDE_PROJECT_DIR to your project."
    ),
    "mode_not_remote": Code(
        BAD_INPUT,
        "MEGA_CODE_CLIENT_MODE is not remote",
        "With a server of your own set it to remote, for the embedded gateway unset it, or use --hitl.",
    ),
    # The skill folder.
    "missing_skill_dir": Code(BAD_INPUT, "the skill folder is not there", "Check the path."),
    "missing_skill_md": Code(BAD_INPUT, "there is no SKILL.md at the root", "Add a SKILL.md to the skill folder."),
    "invalid_frontmatter": Code(
        BAD_INPUT, "the frontmatter of SKILL.md breaks its contract", "Mend the field that the message names."
    ),
    "forbidden_path": Code(
        BAD_INPUT, "a file's name says that it holds a secret", "Move the file out of the skill folder."
    ),
    "secret_detected": Code(
        BAD_INPUT,
        "a file holds a private key or token",
        "Remove it, or allow that file: scripts/enhance.sh SKILL --allow-secret RELPATH.",
    ),
    "symlink_rejected": Code(BAD_INPUT, "the folder holds a link", "Replace the link by the file itself."),
    "size_exceeded": Code(BAD_INPUT, "a size cap was passed", "Leave large files out of the skill."),
    # The result and its installation.
    "missing_staging": Code(
        BAD_INPUT, "nothing is staged for that job", "Fetch it again: scripts/poll.sh --job-id ID."
    ),
    "missing_artifact": Code(
        BAD_INPUT, "the job has no files to install", "Look at the job's result, or submit the skill again."
    ),
    "sha256_mismatch": Code(
        BAD_INPUT, "a file is not the one that was published", "Fetch it again: scripts/poll.sh --job-id ID."
    ),
    "download_failed": Code(BAD_INPUT, "an artifact could not be fetched", "Try again: scripts/poll.sh --job-id ID."),
    "install_failed": Code(
        BAD_INPUT, "the skill could not be put in place; the old one still stands", "Mend the cause and install again."
    ),
    "cleanup_unsafe_path": Code(
        BAD_INPUT, "the path does not lie inside a skills folder", "Give the path of a skill's own folder."
    ),
    "cleanup_path_missing": Code(BAD_INPUT, "there is nothing at that path", "Nothing needs to be removed."),
    "cleanup_failed": Code(BAD_INPUT, "the copy could not be removed", "Mend the cause and run it again."),
    # The local flow.
    "missing_iteration": Code(
        BAD_INPUT, "the skill has no such iteration", "Begin one: scripts/hitl.sh start --skill NAME."
    ),
    "out_of_order": Code(
        BAD_INPUT, "another step of the local flow comes first", "Run the step that the message names."
    ),
    "invalid_cases": Code(BAD_INPUT, "the test cases cannot be used", "Mend what error.problems lists."),
    "invalid_gradings": Code(BAD_INPUT, "the gradings cannot be believed", "Mend what error.problems lists."),
    "invalid_draft": Code(BAD_INPUT, "the draft breaks a rule of every skill", "Mend what error.problems lists."),
    "audit_refused": Code(
        BAD_INPUT, "the audit, or the person, lets nothing of the skill run", "Read the findings in audit.json."
    ),
    "skill_changed": Code(
        BAD_INPUT, "the skill is not the one that the iteration knows", "Begin a new iteration with what stands there."
    ),
    "budget_spent": Code(BAD_INPUT, "the next call could pass a limit", "Raise the limit, or ask for less."),
    "model_failure": Code(NETWORK, "the model gave no answer", "Run it again; answers that came are kept."),
    # The server.
    "insecure_server_url": Code(
        BAD_INPUT,
        "the token would travel unencrypted",
        "Use an https URL; plain http is for this machine only.",
    ),
    "auth_failure": Code(NETWORK, "the server does not accept the API key", "Run scripts/configure.sh."),
    "network_failure": Code(NETWORK, "the server cannot be reached", "Check the server URL and the network."),
    "queue_full": Code(NETWORK, "the server has no room for another job", "Try again later."),
    "not_terminal": Code(NETWORK, "the job has not ended yet", "Wait: scripts/poll.sh --job-id ID."),
    "invalid_response": Code(
        NETWORK, "the server's answer makes no sense", "Check that MEGA_CODE_SERVER_URL names a gateway."
    ),
    # The server's own words about a bundle, passed through.
    "path_traversal": Code(BAD_INPUT, "the bundle holds an unsafe path", "Rename the file.", True),
    "invalid_archive": Code(BAD_INPUT, "the bundle is no readable zip", "Submit the folder again.", True),
    "empty_archive": Code(BAD_INPUT, "the bundle holds no file", "Add a SKILL.md to the skill folder.", True),
    "nested_package_not_supported": Code(
        BAD_INPUT, "the bundle holds more than one SKILL.md", "Submit one skill at a time.", True
    ),
    "skill_md_not_at_root": Code(
        BAD_INPUT, "SKILL.md lies in a subfolder", "Submit the folder that holds SKILL.md.", True
    ),
    "invalid_skill_md": Code(
        BAD_INPUT, "SKILL.md cannot be read as a skill", "Give it frontmatter with name and description.", True
    ),
    "body_too_large": Code(BAD_INPUT, "the upload is larger than the server takes", "Make the skill smaller.", True),
    "invalid_skill_id": Code(BAD_INPUT, "the server does not take this skill name", "Rename the skill.", True),
    "invalid_source": Code(BAD_INPUT, "the server does not take this source", "Update mega-code.", True),
    "invalid_user_id": Code(BAD_INPUT, "the server does not know this user", "Run scripts/configure.sh.", True),
    "prefix_exists": Code(
        BAD_INPUT, "this content is already stored", "Look at what is here: scripts/skills.sh cached NAME.", True
    ),
}


def exit_status(code: str, http_status: object = None) -> int:
    """The exit status that a code ends in; a code the table does not hold is somebody's bad input.

    So is any that a server gave, with `http_status`, to what it refused, though we have such a code too.
    """
    known = CODES.get(code) if http_status is None else None
    return known.exit_status if known else BAD_INPUT


class MegaCodeError(Exception):
    """A failure with a code of the contract and one sentence for a person.

    `details` are further keys of the envelope's `error` object (`job_id`, `candidates`, and `http_status` as in
    `exit_status`).
    """

    def __init__(self, code: str, message: str, **details: object) -> None:
        super().__init__(message)
        self.code = code
        self.message = message
        self.details = details

    @property
    def exit_status(self) -> int:
        return exit_status(self.code, self.details.get("http_status"))

    def envelope(self, job_id: Optional[str] = None) -> dict[str, object]:
        """The error envelope; `job_id` is added where the error does not name one itself."""
        body: dict[str, object] = {"code": self.code, "message": self.message, **self.details}
        if job_id and "job_id" not in body:
            body["job_id"] = job_id
        return {"error": body}
