"""Names and places of the skills in a `list-skills` answer on stdin: one `name (scope)` a line."""

import json
import sys

listed = json.load(sys.stdin)
for skill in listed if isinstance(listed, list) else []:
    print(f"{skill['name']} ({skill['scope'] or skill['state']})")
