"""`facenas detect` among bad neighbours, strange names and crowded folders: nothing of the user's is lost, nor the results."""

import json
import os
import struct
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from helpers.command_line import Outcome

from facenas.data.image import encode_jpeg
from facenas.data.video import is_cut_off
from facenas.detector.sources import distinct_stems

Run = Callable[..., Outcome]
PHOTO = encode_jpeg(np.random.default_rng(0).integers(0, 255, (64, 96, 3), dtype=np.uint8), 90)


def photo(path: Path) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(PHOTO)
    return path


def test_a_panorama_that_is_made_much_smaller_is_told(facenas: Run, tmp_path: Path) -> None:
    panorama = np.random.default_rng(0).integers(0, 255, (64, 6000, 3), dtype=np.uint8)
    (tmp_path / "wide.jpg").write_bytes(encode_jpeg(panorama, 90))
    told = facenas("detect", tmp_path / "wide.jpg", photo(tmp_path / "a.jpg"))
    assert "1 of these are made more than 8 times smaller, to 512 px" in told.err
    assert "made more than" not in facenas("detect", tmp_path / "wide.jpg", "--long-side", 4096).err


@pytest.mark.parametrize("link", [False, True])
def test_no_photo_is_drawn_over(facenas: Run, tmp_path: Path, link: bool) -> None:
    own = photo(tmp_path / "own" / "a.jpg").parent
    out = own
    if link:
        out = tmp_path / "link"
        out.symlink_to(own)
    done = facenas("detect", own, "--out", out)
    assert (done.code, "would be overwritten" in done.err) == (2, True)
    assert (own / "a.jpg").read_bytes() == PHOTO
    # Nor one that is looked at at another time.
    other = photo(tmp_path / "other" / "a.jpg")
    assert facenas("detect", other, "--out", out).code == 2
    assert (own / "a.jpg").read_bytes() == PHOTO


def test_equal_names_are_drawn_apart_and_drawings_may_be_drawn_again(facenas: Run, tmp_path: Path) -> None:
    for name in ("c1/img.jpg", "c1/img.png", "c2/IMG.jpg", "c2/img-2.jpg"):
        photo(tmp_path / name)
    for _ in range(2):
        done = facenas("detect", tmp_path / "c1", tmp_path / "c2", "--out", tmp_path / "drawn")
        assert done.code == 0, done.err
        assert len(list((tmp_path / "drawn").iterdir())) == 4


@pytest.mark.parametrize(
    ("sources", "stems"),
    [
        (("a/x.jpg", "b/X.png", "x-2.jpg"), ["x", "X-2", "x-2-2"]),
        (("v.mp4", "v-000000.jpg", "v.jpg", "w-000000.jpg"), ["v", "v-000000-2", "v", "w-000000"]),
        (("v-000001.jpg", "v.mp4"), ["v-000001", "v-2"]),
        (("v.mp4", "b/V.avi", 0), ["v", "V-2", "camera0"]),
    ],
)
def test_names_of_drawings_differ_on_any_file_system(sources: tuple[str | int, ...], stems: list[str]) -> None:
    assert distinct_stems([each if isinstance(each, int) else Path(each) for each in sources]) == stems


def test_a_bad_neighbour_costs_nobody_else_anything(facenas: Run, tmp_path: Path) -> None:
    folder = photo(tmp_path / "all" / "1.jpg").parent
    photo(folder / "2.jpg")
    (folder / "3.jpg").write_bytes(PHOTO[:900])
    (folder / "4.jpg").symlink_to("nowhere.jpg")
    (folder / "5.jpg").mkdir()
    (folder / "._6.jpg").write_bytes(b"\0\5\x16\7\0\2\0\0Mac OS X")
    os.mkfifo(folder / "7.jpg")
    (folder / "8.jpg").symlink_to("/dev/zero")
    (folder / "9.jpg").write_bytes(b"%!PS\n(hello) print")
    (folder / "9.avi").write_text("#EXTM3U\nhttp://example.invalid/a.ts\n")
    (folder / "9.heic").write_bytes(b"\0")
    done = facenas("detect", folder, tmp_path / "gone.jpg", "--json", "--out", tmp_path / "drawn")
    assert done.code == 2
    found = {Path(each["image"]).name: "problem" in each for each in json.loads(done.out)}
    assert {name for name, bad in found.items() if not bad} == {"1.jpg", "2.jpg"}
    for name in ("3.jpg", "4.jpg", "5.jpg", "._6.jpg", "7.jpg", "8.jpg", "9.jpg", "9.avi", "9.heic", "gone.jpg"):
        assert str(Path(name)) in done.err
    assert len(list((tmp_path / "drawn").iterdir())) == 2
    assert "Traceback" not in done.err
    alone = facenas("detect", folder / "3.jpg")
    assert alone.err.splitlines()[-1].startswith(f"facenas: photo {folder / '3.jpg'} is truncated")
    assert alone.out == ""


@pytest.mark.parametrize("name", ["party [raw].jpg", "set [/old/x].jpg", "[bold]x.jpg", ":smile:.jpg"])
def test_names_are_text_and_no_markup(facenas: Run, tmp_path: Path, name: str) -> None:
    done = facenas("detect", photo(tmp_path / name.replace("/", "]")))
    assert done.code == 0, done.err
    assert name.replace("/", "]") in done.out.replace("\n", "").replace(" ", "") or name.split()[0] in done.out


def test_names_steer_no_terminal(facenas: Run, tmp_path: Path) -> None:
    done = facenas("detect", photo(tmp_path / "a\x1b[31mred\nb.jpg"), tmp_path / "c\x1b[0m.jpg")
    assert "\x1b" not in done.out + done.err
    assert r"\x1b[31mred\nb.jpg" in done.out


def test_addresses_lose_nothing_but_the_password(facenas: Run) -> None:
    done = facenas("detect", "rtsp://me:secret@camera.local:554/live")
    assert done.code == 2
    assert "rtsp://camera.local:554" in done.err
    assert "secret" not in done.err


def box(kind: bytes, content: bytes, size: int | None = None) -> bytes:
    return struct.pack(">I4s", 8 + len(content) if size is None else size, kind) + content


@pytest.mark.parametrize(
    ("content", "cut"),
    [
        (box(b"ftyp", b"isom" * 4) + box(b"moov", b"x" * 50) + box(b"mdat", b"y" * 90), False),
        (box(b"ftyp", b"isom" * 4) + box(b"moov", b"x" * 50) + box(b"mdat", b"y" * 90, 4000), True),
        (box(b"ftyp", b"isom" * 4) + box(b"mdat", b"y" * 90, 0), False),
        (box(b"ftyp", b"isom" * 4) + box(b"mdat", struct.pack(">Q", 1 << 40) + b"y" * 90, 1), True),
        (b"RIFF" + struct.pack("<I", 100) + b"AVI " + b"z" * 96, False),
        (b"RIFF" + struct.pack("<I", 100) + b"AVI " + b"z" * 95, True),
        (b"\x1a\x45\xdf\xa3\x84abcd" + b"\x18\x53\x80\x67\x01\xff\xff\xff\xff\xff\xff\xff" + b"m" * 20, False),
        (b"\x1a\x45\xdf\xa3\x84abcd" + b"\x18\x53\x80\x67\x94" + b"m" * 20, False),
        (b"\x1a\x45\xdf\xa3\x84abcd" + b"\x18\x53\x80\x67\x95" + b"m" * 20, True),
        (b"\x00\x00\x01\xba" + b"p" * 90, False),
    ],
)
def test_a_video_is_cut_off_where_its_boxes_say_so(tmp_path: Path, content: bytes, cut: bool) -> None:
    (tmp_path / "v").write_bytes(content)
    assert is_cut_off(tmp_path / "v") == cut
