"""How setuptools builds the wheel and the sdist; setup.cfg names both classes.

The wheel puts one folder `mega-code` into site-packages, laid out like the repository, and `mega-code.pth`, by which
Python finds mega_code there: scripts, skills and code stand beside each other as everywhere, and the folder is a plugin
marketplace. A wheel holds no links, so the skills' are copies there; an sdist keeps them.
"""

from __future__ import annotations

import os
import shutil
from pathlib import Path

from setuptools.command.build_py import build_py
from setuptools.command.sdist import sdist

FOLDER = "mega-code"
# pyproject.toml, setup.cfg and the files it names let uv prepare a copy of the folder, as Claude Code makes one.
BUNDLE = """
    .claude-plugin examples mega_code references scripts skills CHANGELOG.md LICENSE README.md SECURITY.md
    pyproject.toml setup.cfg
""".split()
FOR_TESTS = ("test.sh", "testing.py")


class BuildPy(build_py):
    def run(self) -> None:
        if self.editable_mode:
            super().run()
            return
        root = Path(self.build_lib)
        shutil.rmtree(root, ignore_errors=True)  # what an earlier build left would be packed as well
        left_out = shutil.ignore_patterns("__pycache__", "*.py[co]", ".DS_Store", *FOR_TESTS)
        for name in BUNDLE:
            if os.path.isdir(name):
                shutil.copytree(name, root / FOLDER / name, ignore=left_out)
            else:
                shutil.copy2(name, root / FOLDER / name)
        (root / f"{FOLDER}.pth").write_text(f"{FOLDER}\n", encoding="utf-8")


class Sdist(sdist):
    def make_release_tree(self, base_dir: str, files: list[str]) -> None:
        super().make_release_tree(base_dir, files)
        shutil.copy2("setup.cfg", base_dir)  # setuptools writes it anew, with tabs, for tags that we do not use
        for link in Path("skills").glob("*/*"):
            if link.is_symlink():
                (Path(base_dir) / link).symlink_to(os.readlink(link))
