"""WebGPU in a headless Chromium: onnxruntime-web's page with a GPU.

Chromium gives a page no adapter where the machine has no GPU with a Vulkan driver. Its software adapter, which computes on the
CPU, is taken only where it is named: its answers are right, its times say nothing of a GPU.
"""

import os
from dataclasses import dataclass, replace
from functools import cache

from facenas.browser.chromium import BrowserGoneError, Chromium, PageError, find_chromium
from facenas.browser.web_server import WebServer
from facenas.devices.fingerprint import Fingerprint
from facenas.devices.target import Target
from facenas.errors import FacenasError, InputError
from facenas.exporters.web import WEBGPU, find_package, package_version
from facenas.runtimes.fingerprints import of_this_cpu_with
from facenas.runtimes.onnxruntime_web import Page, versions

ADAPTER = "FACENAS_WEBGPU_ADAPTER"
"""The environment variable that names one of Chromium's adapters, for example `swiftshader`, its software."""

_OPTIONS = ("--enable-unsafe-webgpu", "--enable-features=Vulkan", "--ignore-gpu-blocklist", "--disable-gpu-watchdog")
_ASK = """(async () => {
  const adapter = await navigator.gpu?.requestAdapter();
  if (!adapter) return null;
  const { vendor, architecture, description, isFallbackAdapter } = adapter.info;
  return { name: [vendor, architecture, description].filter(Boolean).join(" "), software: !!isFallbackAdapter };
})()"""
_ASK_S = 60.0


@dataclass(frozen=True)
class Adapter:
    """What computes in the browser, in its words; `software`: not a GPU."""

    name: str
    software: bool


def webgpu_options() -> tuple[str, ...]:
    """Those of a browser with WebGPU."""
    named = os.environ.get(ADAPTER)
    return (*_OPTIONS, f"--use-webgpu-adapter={named}") if named else _OPTIONS


@cache
def adapter_with(options: tuple[str, ...]) -> Adapter | None:
    """The adapter that a browser with these options gives to a page, None where it gives none. Raises InputError where the
    browser does not tell."""
    server = WebServer({"page.html": b"<!doctype html>"})  # only a page with an origin may ask
    try:
        with Chromium(find_chromium(), options) as browser:
            browser.open(server.address_of("page.html"))
            found = browser.evaluate(_ASK, _ASK_S)
    except (BrowserGoneError, PageError) as error:
        raise InputError(f"the browser does not tell of WebGPU: {error}") from error
    finally:
        server.end()
    return None if found is None else Adapter(found["name"] or "GPU", found["software"])


def why_not_here(_: Target) -> str | None:
    """None where Chromium, the npm package and an adapter are there, else which of them is missing."""
    try:
        package_version(find_package(flavour=WEBGPU))
        adapter = adapter_with(webgpu_options())
    except FacenasError as error:
        return str(error)
    if adapter is None or (adapter.software and not os.environ.get(ADAPTER)):
        return (
            "Chromium gives no GPU to a page; it needs one with a Vulkan driver (vulkaninfo tells), or take --device web; "
            f"to try it on the CPU, slowly: {ADAPTER}=swiftshader"
        )
    return None


def fingerprint_of(target: Target) -> Fingerprint:
    """That of the adapter and of the CPU that feeds it, with the versions of package and browser."""
    here, adapter = of_this_cpu_with(target, versions()), adapter_with(webgpu_options())
    if adapter is None:
        raise InputError(f"device '{target}' cannot be used here: {why_not_here(target)}")
    words = f"{adapter.name} (software)" if adapter.software else adapter.name
    return replace(here, cpu=f"{words} in Chromium, fed by {here.cpu}")


@cache
def gpu_page() -> Page:
    """This process's page."""
    return Page(options=webgpu_options(), flavour=WEBGPU)
