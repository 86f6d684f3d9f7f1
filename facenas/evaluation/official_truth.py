"""WIDER FACE's official ground truth, four MATLAB files, read in a process of its own.

The reader of such files trusts them: one damaged byte can ask it for gigabytes or end its process. So a child with limits on
memory and time reads them (`python -P -m facenas.evaluation.official_truth FOLDER`) and answers with plain arrays.
"""

import io
import resource
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from facenas.arrays import BoolArray, FloatArray
from facenas.errors import InputError
from facenas.files import open_file

SETTINGS = ("easy", "medium", "hard")
FACES_FILE = "wider_face_val.mat"
SETTING_FILES = {setting: f"wider_{setting}_val.mat" for setting in SETTINGS}
_MAX_BYTES = 50_000_000
_MEMORY_BYTES = 3_000_000_000
_SECONDS = 120


@dataclass(frozen=True, eq=False)
class OfficialPhoto:
    """boxes: float32 [n, 4] x1 y1 x2 y2; counted: per setting bool [n]."""

    boxes: FloatArray
    counted: dict[str, BoolArray]


def read_official(folder: Path) -> dict[str, OfficialPhoto]:
    """All photos of the four files in `folder` by `event/file.jpg`. Raises InputError where one is absent or damaged."""
    for name in (FACES_FILE, *SETTING_FILES.values()):
        with open_file(folder / name, "ground truth", _MAX_BYTES):
            pass
    command = [sys.executable, "-P", "-m", "facenas.evaluation.official_truth", str(folder.absolute())]
    try:
        done = subprocess.run(command, stdin=subprocess.DEVNULL, capture_output=True, timeout=_SECONDS, check=False)
    except subprocess.TimeoutExpired:
        raise _damaged(folder, f"it takes more than {_SECONDS} s") from None
    if done.returncode:
        words = done.stderr.decode(errors="replace").strip().splitlines()
        raise _damaged(folder, words[-1] if words else f"its reader ended with {done.returncode}")
    return _photos(np.load(io.BytesIO(done.stdout), allow_pickle=False))


def _damaged(folder: Path, why: str) -> InputError:
    return InputError(f"cannot read the four wider_*_val.mat files in {folder} ({why[:200]}); download them again")


def _photos(arrays: Any) -> dict[str, OfficialPhoto]:
    ends = arrays["ends"]
    return {
        str(name): OfficialPhoto(
            arrays["boxes"][start:end], {setting: arrays[setting][start:end] for setting in SETTINGS}
        )
        for name, start, end in zip(arrays["names"], np.concatenate([[0], ends[:-1]]), ends, strict=True)
    }


def _answer(folder: Path) -> bytes:
    """What the child writes: names, boxes of all photos one after another, where each one's end, who counts."""
    faces = _variables(folder / FACES_FILE, "event_list", "file_list", "face_bbx_list")
    lists = {setting: _variables(folder / name, "gt_list")["gt_list"] for setting, name in SETTING_FILES.items()}
    names: list[str] = []
    boxes = [np.zeros((0, 4), np.float32)]
    counted: dict[str, list[BoolArray]] = {setting: [np.zeros(0, bool)] for setting in SETTINGS}
    for event_index, event in enumerate(faces["event_list"][:, 0]):
        for file_index, file in enumerate(faces["file_list"][event_index, 0][:, 0]):
            corner_size = faces["face_bbx_list"][event_index, 0][file_index, 0].astype(np.float32).reshape(-1, 4)
            if not np.isfinite(corner_size).all():
                raise ValueError("a box that is not finite")
            names.append(f"{event[0]}/{file[0]}.jpg")
            boxes.append(np.concatenate([corner_size[:, :2], corner_size[:, :2] + corner_size[:, 2:]], axis=1))
            for setting, listed in lists.items():
                rows = listed[event_index, 0][file_index, 0].ravel().astype(int) - 1  # MATLAB counts from one
                if len(rows) and not (rows.min() >= 0 and rows.max() < len(corner_size)):
                    raise ValueError(f"a face of the {setting} ones that there is not")
                mask = np.zeros(len(corner_size), dtype=bool)
                mask[rows] = True
                counted[setting].append(mask)
    if len(set(names)) != len(names):
        raise ValueError("a photo that stands there twice")
    masks = {setting: np.concatenate(each) for setting, each in counted.items()}
    content = io.BytesIO()
    ends = np.cumsum([len(each) for each in boxes[1:]], dtype=np.int64)
    arrays: dict[str, Any] = {"names": np.array(names, dtype=np.str_), "boxes": np.concatenate(boxes), "ends": ends}
    np.savez(content, **(arrays | masks))
    return content.getvalue()


def _variables(path: Path, *names: str) -> dict[str, Any]:
    from scipy.io import loadmat

    content: dict[str, Any] = loadmat(path, variable_names=list(names))
    missing = [name for name in names if name not in content]
    if missing:
        raise ValueError(f"{path.name} has no {missing[0]}")
    return content


if __name__ == "__main__":
    resource.setrlimit(resource.RLIMIT_AS, (_MEMORY_BYTES, _MEMORY_BYTES))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    sys.stdout.buffer.write(_answer(Path(sys.argv[1])))
