"""The folder for browsers: what is in it, facenas.js against the numpy pipeline, and its page, which finds faces."""

import json
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from facenas.exporters.artefact import describe
from facenas.exporters.formats import ExportOptions, description_of, export_model
from facenas.exporters.onnx import onnx_of_checkpoint
from facenas.exporters.web import PACKAGE_FOLDER, find_package, page_file
from helpers.random_networks import TINY, confident_checkpoint, with_landmarks
from helpers.web import a_chromium, encode_png, give, opened, require_web, said, served

from facenas.browser.chromium import Chromium
from facenas.browser.web_server import WebServer
from facenas.data.image import encode_jpeg
from facenas.detector.face_detector import FaceDetector
from facenas.errors import InputError, MissingPackageError
from facenas.pipeline.fit import Letterbox
from facenas.pipeline.postprocess import find_faces
from facenas.steps.export import export
from facenas.units import Size

SIZE = Size(160, 128)
_FLOAT = "Array.from(new Float32Array(await (await fetch('{}')).arrayBuffer()))"


@pytest.fixture(scope="module")
def browser() -> Iterator[Chromium]:
    with Chromium(a_chromium()) as started:
        yield started


@pytest.fixture(scope="module")
def module(browser: Chromium) -> Iterator[WebServer]:
    """A page that has imported facenas.js as `window.js`, and the server that gives it values."""
    page = b'<!doctype html><script type="module">import * as js from "./facenas.js"; window.js = js;</script>'
    server = WebServer({"page.html": page, "facenas.js": page_file("facenas.js").encode()})
    browser.open(server.address_of("page.html"))
    browser.wait_for("!!window.js", 30)
    yield server
    server.end()


@pytest.mark.parametrize("landmarks", [False, True])
@pytest.mark.parametrize("least_score", [0.02, 0.3, 0.7])
def test_decoding_has_the_numbers_of_numpy(
    browser: Chromium, module: WebServer, least_score: float, landmarks: bool
) -> None:
    generator, outputs, script = np.random.default_rng(0), {}, []
    for stride in (8, 16, 32):
        shape = (1, 30 if landmarks else 10, SIZE.height_px // stride, SIZE.width_px // stride)
        outputs[f"output_{stride}"] = generator.normal(0, 2, shape).astype(np.float32)
        module.files[f"output_{stride}"] = outputs[f"output_{stride}"].tobytes()
        values = f"new Float32Array(await (await fetch('output_{stride}')).arrayBuffer())"
        script.append(f"output_{stride}: {{ data: {values}, dims: {list(shape)} }}")
    found = browser.evaluate(f"(async () => js.suppress(js.decode({{ {', '.join(script)} }}, {least_score}), 0.45))()")
    expected = find_faces(outputs, least_score, 0.45)
    assert len(expected) > 10
    assert len(found) == len(expected)
    np.testing.assert_allclose([face["score"] for face in found], expected.scores, atol=1e-6)
    np.testing.assert_allclose([face["box"] for face in found], expected.boxes, atol=1e-3)
    if expected.landmarks is not None:
        np.testing.assert_allclose([face["landmarks"] for face in found], expected.landmarks, atol=1e-3)
    else:
        assert {face["landmarks"] for face in found} == {None}


@pytest.mark.parametrize(
    ("width", "height"), [(160, 128), (200, 100), (97, 211), (640, 480), (333, 1000), (7, 5), (1, 300)]
)
def test_a_photo_is_fitted_as_opencv_does_it(browser: Chromium, module: WebServer, width: int, height: int) -> None:
    generator = np.random.default_rng(width)
    photo = generator.integers(0, 256, (height, width, 3), dtype=np.uint8)
    module.files["photo"] = np.dstack([photo, np.full((height, width), 255, np.uint8)]).tobytes()
    description = describe(TINY, SIZE, dynamic=False, origin={}).to_json()
    browser.evaluate(
        f"""(async () => {{
          const data = new Uint8ClampedArray(await (await fetch('photo')).arrayBuffer());
          const input = {{ width: {SIZE.width_px}, height: {SIZE.height_px} }};
          const {{ planes }} = js.letterbox({{ data, width: {width}, height: {height} }}, input,
            {json.dumps(description["preprocessing"])});
          await fetch('planes', {{ method: 'PUT', body: planes }});
        }})()"""
    )
    planes = np.frombuffer(module.taken["planes"], np.float32).reshape(3, SIZE.height_px, SIZE.width_px)
    expected = Letterbox(SIZE)(photo).picture.transpose(2, 0, 1)
    assert np.abs(np.round(planes * 128 + 127.5) - expected).max() <= 1


def trained(landmarks: bool = False) -> Any:
    detector = with_landmarks(TINY) if landmarks else TINY
    return onnx_of_checkpoint(confident_checkpoint(detector, SIZE), dynamic=False)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    require_web()
    place = tmp_path_factory.mktemp("web") / "demo"
    artefact = export_model(trained(landmarks=True), "web", place / "model.onnx", ExportOptions())
    assert (artefact.runtime, artefact.target, artefact.format) == ("onnxruntime-web", "web", "web")
    return place


def test_the_folder_holds_all_that_a_static_server_needs(folder: Path) -> None:
    files = sorted(str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file())
    wasm = ["ort/ort-wasm-simd-threaded.mjs", "ort/ort-wasm-simd-threaded.wasm", "ort/ort.wasm.min.mjs"]
    assert files == ["facenas.js", "index.html", "model.onnx", *wasm]
    assert description_of(folder / "model.onnx").target == "web"
    assert json.dumps(str(SIZE)) in (folder / "facenas.js").read_text()


@pytest.fixture(scope="module")
def address(folder: Path) -> Iterator[str]:
    """Of the folder, from a plain static server, which isolates no page."""
    with served(folder) as address:
        yield address


def test_the_page_finds_the_faces_that_python_finds(browser: Chromium, address: str, folder: Path) -> None:
    generator = np.random.default_rng(0)
    photo = generator.integers(0, 256, (SIZE.height_px, SIZE.width_px, 3), dtype=np.uint8)
    opened(browser, address)
    give(browser, encode_png(photo), "photo.png", "image/png")
    found = browser.evaluate("found.faces")
    expected = FaceDetector(folder / "model.onnx")(photo, 0.3)
    assert len(expected) > 3
    assert len(found) == len(expected)
    np.testing.assert_allclose([face["score"] for face in found], expected.scores, atol=1e-4)
    np.testing.assert_allclose([face["box"] for face in found], expected.boxes, atol=0.05)
    assert expected.landmarks is not None
    np.testing.assert_allclose([face["landmarks"] for face in found], expected.landmarks, atol=0.05)
    words = said(browser)
    assert words.startswith(f"{len(expected)} faces in ")
    assert words.endswith(" ms")


@pytest.mark.parametrize("width_px", [1200, 390, 320])
def test_the_page_fits_its_window_and_is_worked_by_keyboard(browser: Chromium, address: str, width_px: int) -> None:
    browser.call("Emulation.setDeviceMetricsOverride", width=width_px, height=800, deviceScaleFactor=1, mobile=False)
    opened(browser, address)
    assert browser.evaluate("document.documentElement.scrollWidth <= innerWidth")
    order = []
    for _ in range(3):
        for kind in ("keyDown", "keyUp"):
            browser.call("Input.dispatchKeyEvent", type=kind, key="Tab", code="Tab", windowsVirtualKeyCode=9)
        order.append(browser.evaluate("document.activeElement.id"))
    assert order == ["choose", "camera", "score"]
    assert browser.evaluate("document.getElementById('said').getAttribute('aria-live')") == "polite"


def test_what_cannot_be_looked_at_is_said(browser: Chromium, address: str) -> None:
    opened(browser, address)
    give(browser, b"words", "notes.txt", "text/plain")
    assert "notes.txt is no picture" in said(browser)
    give(browser, b"\xff\xd8\xff\xe0 cut off", "photo.jpg", "image/jpeg")
    assert "photo.jpg cannot be decoded" in said(browser)
    browser.evaluate("document.getElementById('camera').click()")
    browser.wait_for("/camera/i.test(document.getElementById('said').textContent)", 30)
    assert browser.evaluate("document.getElementById('said').className") == "bad"


@pytest.mark.slow
def test_a_photo_of_a_hundred_megapixels_is_looked_at(browser: Chromium, address: str) -> None:
    photo = np.zeros((10_000, 10_000, 3), np.uint8)
    photo[::64] = 255
    opened(browser, address)
    give(browser, encode_jpeg(photo, 50), "huge.jpg", "image/jpeg")
    assert " ms" in said(browser) or "smaller one" in said(browser)


@pytest.mark.parametrize("name", ["facenas.js", "ort/ort.wasm.min.mjs"])
@pytest.mark.parametrize("left", [None, 300], ids=["missing", "cut off"])
def test_a_folder_that_is_not_whole_is_said(
    browser: Chromium, folder: Path, tmp_path: Path, name: str, left: int | None
) -> None:
    copy = Path(shutil.copytree(folder, tmp_path / "copy"))
    content = (copy / name).read_bytes()
    (copy / name).unlink()
    if left is not None:
        (copy / name).write_bytes(content[:left])
    with served(copy) as address:
        browser.open(f"{address}/index.html")
        browser.wait_for("document.getElementById('said')?.className === 'bad'", 30)
    assert "copy the whole folder" in said(browser)


def test_what_is_dropped_and_no_file_is_said(browser: Chromium, address: str) -> None:
    opened(browser, address)
    browser.evaluate("dispatchEvent(new DragEvent('drop', { dataTransfer: new DataTransfer() }))")
    assert "no file" in said(browser)


def test_from_a_disk_the_page_says_what_to_do(browser: Chromium, folder: Path) -> None:
    browser.open((folder / "index.html").as_uri())
    browser.wait_for("document.getElementById('said')?.className === 'bad'", 30)
    assert "python3 -m http.server" in said(browser)


def test_a_file_beside_which_nothing_fits_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="give a folder"):
        export_model(trained(), "web", tmp_path / "other.onnx", ExportOptions())
    with pytest.raises(InputError, match="there is fp32"):
        export_model(trained(), "web", tmp_path / "model.onnx", ExportOptions("fp16"))
    dynamic = onnx_of_checkpoint(confident_checkpoint(TINY, SIZE), dynamic=True)
    with pytest.raises(InputError, match="without --dynamic"):
        export_model(dynamic, "web", tmp_path / "model.onnx", ExportOptions())
    assert not list(tmp_path.iterdir())


def test_without_the_package_nothing_is_written(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv(PACKAGE_FOLDER, raising=False)
    monkeypatch.chdir(tmp_path)
    with pytest.raises(MissingPackageError, match="npm install onnxruntime-web"):
        find_package()
    with pytest.raises(MissingPackageError, match="no onnxruntime-web in "):
        export_model(trained(), "web", tmp_path / "model.onnx", ExportOptions(runtime_folder=tmp_path / "none"))
    assert not list(tmp_path.iterdir())


def test_export_takes_a_folder_for_out(tmp_path: Path) -> None:
    require_web()
    artefact = export("facenas-12ms", "web", out=tmp_path / "demo")
    assert artefact.path == tmp_path / "demo" / "model.onnx"
    assert (tmp_path / "demo" / "index.html").is_file()
