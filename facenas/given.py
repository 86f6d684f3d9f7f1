"""What a person gives where an architecture, a model or a checkpoint is meant, so that one command's output is the next one's
input: a block string, a published name or one of the zoo, a search.json, a folder of a search, run or training, a checkpoint,
an exported file.

A folder stands for what it holds: its exported model, its best checkpoint, its search's best network.
"""

from dataclasses import dataclass
from pathlib import Path

from facenas.architecture import PUBLISHED_NAMES, Architecture, parse_architecture, resolve_architecture
from facenas.checkpoint import load_checkpoint
from facenas.errors import InputError, meant
from facenas.exporters.formats import FORMATS, description_of
from facenas.files import read_json
from facenas.units import Size, parse_size
from facenas.zoo import ZOO_NAMES, checkpoint_path, model_path

SEARCH, WEIGHTS = "search.json", "training/best.safetensors"
_TRAINED = ("best.safetensors", WEIGHTS, "last.safetensors", "training/last.safetensors")
_MODELS = tuple(each.file_name for each in FORMATS.values())


@dataclass(frozen=True)
class Given:
    """An architecture, and the input size that it is meant for where what was given says so."""

    architecture: Architecture
    input_size: Size | None = None


def given_architecture(given: str | Path | Architecture) -> Given:
    """The architecture that is meant. Raises InputError for what stands for none."""
    if isinstance(given, Architecture):
        return Given(given)
    if not isinstance(given, str | Path):
        raise InputError(f"an architecture is text, a path or an `Architecture`, not {type(given).__name__}")
    text = str(given)
    if "(" in text or text in PUBLISHED_NAMES:
        return Given(resolve_architecture(text))
    path = Path(text)
    if text in ZOO_NAMES and not _exists(path):
        return _of_model(model_path(path))
    if _exists(path, folder=True):
        return _of_folder(path)
    match path.suffix.lower():
        case ".json":
            return _of_search(path)
        case ".safetensors":
            return _of_checkpoint(path)
        case suffix if suffix in {each.suffix for each in FORMATS.values()}:
            return _of_model(path)
    names = (*PUBLISHED_NAMES, *ZOO_NAMES)
    try:
        return Given(resolve_architecture(text))
    except InputError as error:
        raise InputError(f"{error}{'' if _exists(path) else meant(text, names)}") from error


def given_model(given: str | Path) -> Path:
    """The exported file that is meant: a run folder's, the zoo's, or the file itself. Raises InputError for a folder without
    one, and for a name that is nearly one of the zoo's."""
    path = Path(given)
    if _exists(path, folder=True):
        return _held(path, _MODELS, "an exported model", "facenas export --checkpoint")
    return _unless_misspelt(model_path(path))


def given_checkpoint(given: str | Path) -> Path:
    """The checkpoint that is meant: the best of a training's or a run's folder, the zoo's, or the file itself. Raises
    InputError for a folder without one, and for a name that is nearly one of the zoo's."""
    path = Path(given)
    if _exists(path, folder=True):
        return _held(path, _TRAINED, "a checkpoint", "facenas train --out")
    return _unless_misspelt(checkpoint_path(path))


def _exists(path: Path, *, folder: bool = False) -> bool:
    """Whether there is a file, or folder, of that name; a name that no file system takes is none."""
    try:
        return path.is_dir() if folder else path.exists()
    except (OSError, ValueError):
        return False


def _held(folder: Path, names: tuple[str, ...], what: str, how: str) -> Path:
    found = [folder / name for name in names if (folder / name).is_file()]
    if not found:
        raise InputError(f"folder {folder} holds no {' or '.join(names)}; give {what}, or make one: {how}")
    return found[0]


def _unless_misspelt(path: Path) -> Path:
    near = "" if path.suffix or _exists(path) else meant(str(path), ZOO_NAMES)
    if near:
        raise InputError(f"no file at {path}{near}")
    return path


def _of_folder(folder: Path) -> Given:
    """Of a run or a search the network that was chosen, of a training its checkpoint, else the exported model."""
    readers = {SEARCH: _of_search, **dict.fromkeys(_TRAINED, _of_checkpoint), **dict.fromkeys(_MODELS, _of_model)}
    for name, read in readers.items():
        if (folder / name).is_file():
            return read(folder / name)
    raise InputError(
        f"folder {folder} holds none of {', '.join(readers)}; give the folder of a search, a run or a training"
    )


def _of_search(path: Path) -> Given:
    value = read_json(path, "search result")
    texts = [value.get(key) for key in ("architecture", "input")] if isinstance(value, dict) else [None]
    if not all(isinstance(text, str) for text in texts):
        raise InputError(f"{path} is no search result of facenas; give one that `facenas search --out` wrote")
    return Given(parse_architecture(str(texts[0])), parse_size(str(texts[1])))


def _of_checkpoint(path: Path) -> Given:
    checkpoint = load_checkpoint(path)
    return Given(checkpoint.detector, checkpoint.input_size)


def _of_model(path: Path) -> Given:
    description = description_of(path)
    return Given(description.detector, description.input_size)
