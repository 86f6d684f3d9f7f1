"""WebGPU in a headless Chromium, by its software adapter: right answers, and a page of the export that says what it runs on."""

from pathlib import Path

import numpy as np
import pytest
from facenas.exporters.formats import ExportOptions, export_model
from facenas.exporters.onnx import onnx_of_checkpoint, onnx_untrained
from facenas.exporters.web import WEBGPU
from helpers.random_networks import TINY, confident_checkpoint
from helpers.web import a_chromium, encode_png, give, opened, require_web, said, served

from facenas.browser.chromium import WITHOUT_GPU, Chromium
from facenas.detector.face_detector import FaceDetector
from facenas.devices.targets import resolve_target
from facenas.runtimes.compiled_model import example_image
from facenas.runtimes.onnxruntime_web import OnnxRuntimeWebModel, Page
from facenas.runtimes.runtime import load_model, read_fingerprint, why_unavailable
from facenas.runtimes.web_gpu import ADAPTER, adapter_with, webgpu_options
from facenas.units import Size

WEB_GPU = resolve_target("web-gpu")
SIZE = Size(96, 64)


@pytest.fixture
def software(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(ADAPTER, "swiftshader")
    require_web("web-gpu")


@pytest.mark.usefixtures("software")
def test_webgpu_answers_like_the_cpu() -> None:
    model = bytes(onnx_untrained(TINY, input_size=SIZE, dynamic=False).SerializeToString())
    image = example_image(SIZE)
    found, expected = (load_model(model, target).run(image) for target in (WEB_GPU, resolve_target("cpu")))
    assert set(found) == set(expected)
    for name, values in expected.items():
        np.testing.assert_allclose(found[name], values, atol=1e-3)
    assert "(software) in Chromium" in read_fingerprint(WEB_GPU).cpu


@pytest.mark.slow
@pytest.mark.usefixtures("software")
def test_a_gpu_that_is_lost_is_asked_for_again() -> None:
    """As after a driver was reset: nothing works in that page any more."""
    model, image = bytes(onnx_untrained(TINY, input_size=SIZE, dynamic=False).SerializeToString()), example_image(SIZE)
    page = Page(options=webgpu_options(), flavour=WEBGPU)
    try:
        network = OnnxRuntimeWebModel(model, page)
        before, browser = network.run(image), page.browser
        assert browser is not None
        device = "(await import(new URL('./ort/ort.mjs', location.href))).env.webgpu.device"
        browser.evaluate(f"(async () => (await {device}).destroy())()")
        np.testing.assert_allclose(network.run(image)["output_8"], before["output_8"], atol=1e-5)
        assert page.browser is not browser
    finally:
        page.end()


def test_without_a_gpu_one_line_says_what_to_do(monkeypatch: pytest.MonkeyPatch) -> None:
    require_web()
    monkeypatch.delenv(ADAPTER, raising=False)
    found = adapter_with(webgpu_options())
    if found is not None and not found.software:
        pytest.skip(f"this machine has a GPU for pages: {found.name}")
    reason = str(why_unavailable(WEB_GPU))
    assert "--device web;" in reason
    assert f"{ADAPTER}=swiftshader" in reason
    assert "\n" not in reason


@pytest.mark.slow
@pytest.mark.usefixtures("software")
@pytest.mark.parametrize("gpu", [True, False], ids=["with WebGPU", "without"])
def test_the_page_takes_the_gpu_where_there_is_one(tmp_path: Path, *, gpu: bool) -> None:
    model = onnx_of_checkpoint(confident_checkpoint(TINY, SIZE), dynamic=False)
    artefact = export_model(model, "web-gpu", tmp_path / "model.onnx", ExportOptions())
    assert (artefact.target, artefact.format) == ("web-gpu", "web-gpu")
    photo = np.random.default_rng(0).integers(0, 256, (SIZE.height_px, SIZE.width_px, 3), dtype=np.uint8)
    expected = FaceDetector(tmp_path / "model.onnx", resolve_target("cpu"))(photo, 0.3)
    with served(tmp_path) as address, Chromium(a_chromium(), webgpu_options() if gpu else WITHOUT_GPU) as browser:
        opened(browser, address)
        detail = browser.evaluate("document.getElementById('detail').textContent")
        assert ("on the GPU (" if gpu else "one thread") in detail
        give(browser, encode_png(photo), "photo.png", "image/png")
        found = browser.evaluate("found.faces")
        assert said(browser).startswith(f"{len(expected)} face")
    assert len(found) == len(expected) > 0
    np.testing.assert_allclose([face["box"] for face in found], expected.boxes, atol=0.1)
