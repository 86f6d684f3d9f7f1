"""An appraisal in a process of its own: `python tiny_appraisal.py SUPERNET DATA OUT [resume]`, `tests` on its path.

Prints the number of each slice once it is judged.
"""

import sys
from pathlib import Path

from facenas.accuracy.accuracy_table import AccuracyTable
from facenas.steps.appraise import AppraiseSettings, appraise
from helpers.tiny_elastic import TINY_SPACE
from helpers.told import Told

SLICES = 16


def run(supernet: Path, data: Path, out: Path, *, resume: bool = False, slices: int = SLICES) -> AccuracyTable:
    """Appraise, or go on."""
    settings = AppraiseSettings(inputs=["96x64"], crops=16, resume=resume)
    told = Told(lambda done, _total, _what: print(done, flush=True))
    return appraise(supernet, data, slices=slices, settings=settings, out=out, space=TINY_SPACE, progress=told)


if __name__ == "__main__":
    run(*map(Path, sys.argv[1:4]), resume=sys.argv[4:] == ["resume"])
