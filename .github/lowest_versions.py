"""Prints pip constraints: each dependency of pyproject.toml, extras included, at the lowest version that it allows."""

import re
import tomllib
from itertools import chain
from pathlib import Path

project = tomllib.loads((Path(__file__).parents[1] / "pyproject.toml").read_text(encoding="utf-8"))["project"]
for requirement in sorted({*project["dependencies"], *chain(*project["optional-dependencies"].values())}):
    if lowest := re.fullmatch(r"([\w.-]+)>=([\d.]+)(,.*)?", requirement):
        print(f"{lowest[1]}=={lowest[2]}")
