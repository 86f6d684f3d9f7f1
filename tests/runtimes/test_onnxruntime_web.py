"""onnxruntime-web in a headless Chromium, as a runtime among others, and what may befall a browser."""

import json
import os
import shutil
import signal
import tempfile
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from facenas.exporters.onnx import onnx_untrained
from facenas.exporters.web import PACKAGE_FOLDER, find_package
from helpers.random_networks import ALL_FAMILIES, TINY
from helpers.tiny_tables import TINY_INPUT, tiny_space
from helpers.web import leftovers_of, require_web

from facenas.architecture import Architecture, published_detector
from facenas.browser.chromium import WITHOUT_GPU, Chromium
from facenas.devices.targets import resolve_target
from facenas.errors import AgentError, InputError
from facenas.latency.profile_plan import Plan
from facenas.latency.profiler import profile
from facenas.quiet import Patience
from facenas.runtimes.compiled_model import example_image
from facenas.runtimes.local_agent import LocalAgent
from facenas.runtimes.onnxruntime_web import OnnxRuntimeWebModel, Page
from facenas.runtimes.runtime import load_model, read_fingerprint, why_unavailable
from facenas.units import Size

WEB = resolve_target("web")
SIZE = Size(96, 64)


def onnx_of(detector: Architecture = TINY, size: Size = SIZE) -> bytes:
    return bytes(onnx_untrained(detector, input_size=size, dynamic=False).SerializeToString())


@pytest.fixture(scope="module")
def page() -> Iterator[Page]:
    require_web()
    made = Page(1)
    yield made
    browser = made.browser
    made.end()
    assert browser is None or not leftovers_of(browser)


def kill(browser: Chromium | None) -> None:
    assert browser is not None
    os.killpg(browser.process, signal.SIGKILL)


@pytest.mark.parametrize("detector", [TINY, ALL_FAMILIES], ids=["tiny", "all families"])
def test_a_browser_answers_like_the_cpu(page: Page, detector: Architecture) -> None:
    model, image = onnx_of(detector), example_image(SIZE)
    expected = load_model(model, resolve_target("cpu")).run(image)
    in_browser = OnnxRuntimeWebModel(model, page)
    assert in_browser.input_size == SIZE
    found = in_browser.run(image)
    assert set(found) == set(expected)
    for name, values in expected.items():
        np.testing.assert_allclose(found[name], values, atol=1e-4)
    times_ns = in_browser.time(4)
    assert times_ns.shape == (4,)
    assert (times_ns > 1000).all()
    with pytest.raises(InputError, match="it takes 96x64"):
        in_browser.run(example_image(Size(64, 64)))
    with pytest.raises(InputError, match="whole networks"):
        in_browser.layer_times(1)


def test_what_is_no_model_is_refused(page: Page) -> None:
    with pytest.raises(InputError, match="no whole ONNX file"):
        OnnxRuntimeWebModel(b"garbage", page)


def test_a_browser_that_is_killed_is_started_again_and_costs_nothing(page: Page) -> None:
    model = OnnxRuntimeWebModel(onnx_of(), page)
    image = example_image(SIZE)
    before, first = model.run(image), page.browser
    kill(first)
    np.testing.assert_array_equal(model.run(image)["output_8"], before["output_8"])
    assert first is not None
    assert page.browser is not first
    assert not leftovers_of(first)


class Dying(Chromium):
    """Ends whenever it is to run a network."""

    def evaluate(self, script: str, timeout_s: float | None = None) -> Any:
        if ".time(" in script:
            os.killpg(self.process, signal.SIGKILL)
        return super().evaluate(script, timeout_s)


def test_a_network_on_which_the_browser_ends_twice_is_refused() -> None:
    require_web()
    page = Page(1, start=Dying)
    try:
        model = OnnxRuntimeWebModel(onnx_of(), page)
        with pytest.raises(InputError, match="the browser ended while it had to time the model"):
            model.time(1)
    finally:
        page.end()


class Hanging(Chromium):
    """Does not come back from a run."""

    def evaluate(self, script: str, timeout_s: float | None = None) -> Any:
        return super().evaluate("(() => { for (;;) {} })()", 0.5) if ".time(" in script else super().evaluate(script)


def test_a_network_on_which_the_page_hangs_is_refused_at_once() -> None:
    require_web()
    page = Page(1, start=Hanging)
    try:
        model = OnnxRuntimeWebModel(onnx_of(), page)
        with pytest.raises(InputError, match=r"did not answer within 0\.5 s"):
            model.time(1)
    finally:
        page.end()


def test_a_browser_without_simd_is_told() -> None:
    require_web()
    page = Page(1, options=(*WITHOUT_GPU, "--js-flags=--no-enable-sse4-1 --no-enable-avx"))
    try:
        with pytest.raises(InputError, match="no WebAssembly SIMD"):
            OnnxRuntimeWebModel(onnx_of(), page)
    finally:
        page.end()


@pytest.mark.slow
def test_a_model_too_large_for_webassembly_is_an_error_of_one_line(page: Page) -> None:
    with pytest.raises(InputError, match="smaller input") as caught:
        OnnxRuntimeWebModel(onnx_of(published_detector("damofd-10g"), Size(8192, 8192)), page).time(1, warm_up=0)
    assert "\n" not in str(caught.value)
    assert OnnxRuntimeWebModel(onnx_of(), page).time(1).shape == (1,)


@pytest.fixture
def package(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A copy of the npm package that may be damaged."""
    require_web()
    copy = tmp_path / "onnxruntime-web"
    found = find_package()
    (copy / "dist").mkdir(parents=True)
    shutil.copy(found / "package.json", copy)
    for name in ("ort.wasm.min.mjs", "ort-wasm-simd-threaded.mjs", "ort-wasm-simd-threaded.wasm"):
        shutil.copy(found / "dist" / name, copy / "dist")
    monkeypatch.setenv(PACKAGE_FOLDER, str(copy))
    return copy


def test_a_missing_or_damaged_package_is_named_with_the_cure(package: Path) -> None:
    assert why_unavailable(WEB) is None
    assert json.loads((package / "package.json").read_text())["version"] in read_fingerprint(WEB).runtime_version
    wasm = package / "dist" / "ort-wasm-simd-threaded.wasm"
    wasm.write_bytes(b"<html>not found</html>")
    assert "is no WebAssembly" in str(why_unavailable(WEB))
    wasm.unlink()
    assert "lacks dist/ort-wasm-simd-threaded.wasm" in str(why_unavailable(WEB))
    (package / "package.json").write_text('{"name": "onnxruntime-node", "version": "1"}')
    wasm.write_bytes(b"\0asm")
    assert "not the npm package" in str(why_unavailable(WEB))
    shutil.rmtree(package)
    assert "npm install onnxruntime-web" in str(why_unavailable(WEB))


def test_a_wasm_file_of_another_version_is_an_error_of_one_line(package: Path) -> None:
    (package / "dist" / "ort-wasm-simd-threaded.wasm").write_bytes(b"\0asm\1\0\0\0")
    page = Page(1, start=partial(Chromium, call_s=10.0))
    try:
        with pytest.raises(InputError, match="load the model: it did not answer within 10 s"):
            OnnxRuntimeWebModel(onnx_of(), page)
    finally:
        page.end()


def test_threads_are_what_the_isolated_page_allows() -> None:
    require_web()
    target = resolve_target("web-2threads")
    if reason := why_unavailable(target):
        pytest.skip(reason)
    page = Page(2)
    try:
        model, image = onnx_of(), example_image(SIZE)
        expected = load_model(model, resolve_target("cpu")).run(image)
        for name, values in OnnxRuntimeWebModel(model, page).run(image).items():
            np.testing.assert_allclose(values, expected[name], atol=1e-4)
        assert "wasm-threads" in read_fingerprint(target).instruction_sets
    finally:
        page.end()


@pytest.mark.parametrize("long", [False, True], ids=["", "in a folder of a long name"])
def test_an_agent_measures_and_leaves_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, *, long: bool) -> None:
    require_web()
    if long:
        tmp_path /= 60 * "l"
        tmp_path.mkdir()
    monkeypatch.setenv("TMPDIR", str(tmp_path))
    with LocalAgent(WEB) as agent:
        sample = agent.measure(TINY, SIZE, runs=3, layers=False)
        assert len(sample.end_to_end_ns) == 3
        with pytest.raises(AgentError, match="whole networks"):
            agent.measure(TINY, SIZE, runs=3, layers=True)
    assert not list(tmp_path.iterdir())


def _browsers_in(folder: Path) -> list[int]:
    """The shells around browsers whose things lie in a folder."""
    found = []
    for path in Path("/proc").glob("[0-9]*/cmdline"):
        try:
            words = path.read_bytes().split(b"\0")
        except OSError:  # it has ended meanwhile
            continue
        if words[:1] == [b"/bin/sh"] and any(os.fsencode(folder) in word for word in words[4:5]):
            found.append(int(path.parent.name))
    return found


@pytest.mark.slow
def test_a_browser_killed_in_the_middle_of_a_profile_costs_it_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    require_web()
    killed: list[int] = []
    with tempfile.TemporaryDirectory(prefix="f", dir="/tmp") as short:
        monkeypatch.setenv("TMPDIR", short)

        def kill_once(done: int, total: int) -> None:
            if done > 20 and not killed:
                killed.extend(_browsers_in(Path(short)))
                for process in killed:
                    os.killpg(process, signal.SIGKILL)

        plan = Plan(1, 12, seconds=0.0, least_rounds=2, published=False, counters=False)
        out, patience = tmp_path / "t.json", Patience(judges=False)
        with LocalAgent(WEB) as agent:
            table = profile(agent, tiny_space(), TINY_INPUT, out, plan=plan, progress=kill_once, patience=patience)
        assert len(killed) == 1
        assert table.failures == ()
        assert set(table.operators) >= tiny_space().operators(TINY_INPUT)
        assert not list(Path(short).iterdir())
