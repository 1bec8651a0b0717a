"""Names and places of the skills in a `list-skills` or `resolve-skill` answer on stdin: one `name (scope)` a line."""

import json
import sys

listed = json.load(sys.stdin)
for skill in listed if isinstance(listed, list) else [listed]:
    if "name" in skill:  # else it is an error
        print(f"{skill['name']} ({skill['scope'] or 'pending'})")
