"""Who is ranked: the best candidates of a search, and architectures that are put beside them."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from facenas.architecture import parse_architecture
from facenas.errors import InputError
from facenas.given import SEARCH, given_architecture
from facenas.scoring.ddsar import ScoreSettings, ddsar_score, sar_scores
from facenas.searching.result import SearchResult
from facenas.typed_json import read_file
from facenas.units import Size, parse_size


@dataclass(frozen=True)
class Contender:
    """A network to be trained, what the score says of it, and its predicted latency by target (where a search did)."""

    architecture: str
    ddsar: float
    latency_ms: Mapping[str, float] = field(default_factory=dict)


@dataclass(frozen=True)
class Contenders:
    """A search's own first, in its order; `provenance` of their latencies by target; `input_size` of the search."""

    entries: tuple[Contender, ...]
    provenance: Mapping[str, str]
    input_size: Size | None


def gather_contenders(search: Path | None, top: int, architectures: Sequence[str]) -> Contenders:
    """The `top` best of search.json (a file, or the folder with it) and the given architectures, none of them twice.

    DDSAR is by the settings of the search, the default ones without a search. Raises InputError where there is no
    search result or it lists fewer than `top`, or an architecture cannot be read.
    """
    entries: list[Contender] = []
    settings, input_size = ScoreSettings(), None
    provenance: Mapping[str, str] = {}
    if search is not None:
        path = search / SEARCH if search.is_dir() else search
        try:
            found = read_file(SearchResult, path, "search result")
        except InputError as error:
            raise InputError(f"{path} is no search result of facenas ({error}); write one: search --out") from error
        entries = [Contender(str(parse_architecture(c.architecture)), c.ddsar, c.latency_ms) for c in found.top]
        settings, provenance, input_size = found.score, found.provenance, parse_size(found.input)
        if not 1 <= top <= len(entries):
            raise InputError(f"{path} lists {len(entries)} candidates, not {top}; search again with --top {top}")
        entries = entries[:top]
    for text in architectures:
        detector = given_architecture(text).architecture
        ddsar = round(ddsar_score(sar_scores(detector.backbone, settings), settings.stage_weights), 9)
        entries.append(Contender(str(detector), ddsar))
    first_of = {entry.architecture: entry for entry in reversed(entries)}
    unique = tuple(entry for entry in entries if first_of[entry.architecture] is entry)
    return Contenders(unique, provenance, input_size)
