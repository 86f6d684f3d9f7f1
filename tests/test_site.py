"""The documentation's site: every page of the repository stands in it and leads on, and its reference is the program's own."""

import re
import shutil
import subprocess
import sys
import tomllib
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from facenas.exporters.web import find_package
from helpers.web import a_chromium, encode_png, give, opened, require_web, served
from typer.main import get_command

import facenas
from facenas.browser.chromium import Chromium
from facenas.cli.main import app
from facenas.data.synthetic import draw_photo
from facenas.detector.face_detector import FaceDetector

ROOT = Path(__file__).resolve().parents[1]
_FENCED = re.compile(r"^```.*?^```", re.DOTALL | re.MULTILINE)
_LINK = re.compile(r"\]\((?!\w+:)([^)#\s]*)(?:#([^)\s]*))?\)")


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The pages as `make docs` gathers them."""
    folder = tmp_path_factory.mktemp("site")
    command = "import sys; from make_site import make_pages; from pathlib import Path; make_pages(Path(sys.argv[1]))"
    environment = {"PYTHONPATH": str(ROOT / "docs"), "PATH": ""}
    subprocess.run([sys.executable, "-c", command, str(folder / "build" / "docs")], env=environment, check=True)
    return folder


def pages_of(site: Path) -> Iterator[Path]:
    return (site / "build" / "docs").rglob("*.md")


@cache
def anchors_of(page: Path) -> frozenset[str]:
    """Of its headings, as GitHub and the site make them."""
    headings = re.findall(r"^#+ (.*)$", _FENCED.sub("", page.read_text(encoding="utf-8")), re.MULTILINE)
    return frozenset(re.sub(r"[^\w -]", "", heading.lower()).replace(" ", "-") for heading in headings)


def dead_links(page: Path) -> list[str]:
    found = []
    for path, anchor in _LINK.findall(_FENCED.sub("", page.read_text(encoding="utf-8"))):
        target = page.parent / path if path else page
        if not target.exists() or (anchor and anchor not in anchors_of(target)):
            found.append(f"{page.name}: {path}#{anchor}")
    return found


def test_no_link_of_the_repository_or_the_site_is_dead(site: Path) -> None:
    written = [*ROOT.glob("*.md"), *(ROOT / "docs").rglob("*.md"), *(ROOT / "facenas" / "zoo").glob("*.md")]
    assert len(written) > 20
    assert [link for page in (*written, *pages_of(site)) for link in dead_links(page)] == []


def test_a_dead_link_is_seen(tmp_path: Path) -> None:
    (tmp_path / "page.md").write_text("# One thing\n[a](page.md#one-thing) [b](page.md#another) [c](absent.md)\n")
    assert dead_links(tmp_path / "page.md") == ["page.md: page.md#another", "page.md: absent.md#"]


def names(entry: Any) -> Iterator[str]:
    """The pages that a part of the navigation names."""
    if isinstance(entry, str):
        yield entry
    else:
        for child in entry.values() if isinstance(entry, dict) else entry:
            yield from names(child)


def test_the_navigation_names_every_page_once(site: Path) -> None:
    listed = sorted(names(tomllib.loads((ROOT / "zensical.toml").read_text())["project"]["nav"]))
    assert listed == sorted(page.relative_to(site / "build" / "docs").as_posix() for page in pages_of(site))


def test_the_reference_has_every_verb_option_and_public_name(site: Path) -> None:
    text = (site / "build" / "docs" / "reference" / "command-line.md").read_text()
    command: Any = get_command(app)
    for name in ("run", "train", "evaluate"):
        _, _, part = text.partition(f"## facenas {name}\n")
        for parameter in command.commands[name].params:
            assert f"`{parameter.opts[0]}`" in part.partition("\n## ")[0] or parameter.opts[0] in ("-q", "-v")
    assert {*command.commands} - {"device", "report"} <= set(re.findall(r"^## facenas (\S+)$", text, re.MULTILINE))
    python = (site / "build" / "docs" / "reference" / "python.md").read_text()
    assert (
        len(re.findall("^::: facenas", python, re.MULTILINE)) == len(facenas.__all__) - 2
    )  # a second name, the version


def test_the_demo_finds_faces_with_a_runtime_from_elsewhere(tmp_path: Path) -> None:
    """As the front page shows it; the npm package on another server stands for the network that the site names."""
    require_web()
    photo, _, _ = draw_photo(256, 192, np.random.default_rng(2))
    expected = FaceDetector("facenas-1ms")(photo)
    assert len(expected) > 0
    with served(find_package() / "dist", origins="*") as runtime:
        command = f"from make_site import make_demo; from pathlib import Path; make_demo(Path({str(tmp_path)!r}), '{runtime}/')"
        environment = {"PYTHONPATH": str(ROOT / "docs"), "PATH": ""}
        subprocess.run([sys.executable, "-c", command], env=environment, check=True)
        assert sorted(path.name for path in tmp_path.iterdir()) == ["facenas.js", "index.html", "model.onnx"]
        with served(tmp_path) as address, Chromium(a_chromium()) as browser:
            opened(browser, address)
            give(browser, encode_png(photo), "photo.png", "image/png")
            found = browser.evaluate("found.faces")
    assert len(found) == len(expected)
    np.testing.assert_allclose([face["box"] for face in found], expected.boxes, atol=0.1)


def test_the_front_page_shows_the_demo_when_it_is_asked_for(site: Path) -> None:
    front = (site / "build" / "docs" / "index.md").read_text()
    frame = re.search(r'<details>.*<iframe src="([^"]+)"[^>]* loading="lazy"', front, re.DOTALL)
    assert frame is not None
    demo = site / "build" / "docs" / frame[1]
    imports = re.findall(r'"(https?://[^"]+)"', demo.read_text())
    assert imports
    assert all(
        re.fullmatch(r"https://cdn\.jsdelivr\.net/npm/onnxruntime-web@\d+\.\d+\.\d+/dist/.*", each) for each in imports
    )
    assert "cdn.jsdelivr.net" in front[frame.start() : frame.end()]
    assert sum(path.stat().st_size for path in demo.parent.iterdir()) < 1_000_000


def test_the_site_builds_and_no_link_of_it_is_dead(site: Path) -> None:
    """With Zensical, which is only in the extra `docs`."""
    builder = shutil.which("zensical", path=str(Path(sys.executable).parent))
    if builder is None:
        pytest.skip("Zensical is not installed: make docs")
    shutil.copy(ROOT / "zensical.toml", site)
    (site / "facenas").symlink_to(ROOT / "facenas")
    done = subprocess.run([builder, "build", "--strict"], cwd=site, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    page = (site / "build" / "site" / "reference" / "python.html").read_text()
    assert "Do all steps that folder" in page  # run's docstring
    assert "max_minutes" in page
