"""How long does the shipped detector take for one image? The network alone, ONNX Runtime, one thread."""

from collections.abc import Callable, Mapping

from facenas.devices.targets import resolve_target
from facenas.runtimes.compiled_model import example_image
from facenas.runtimes.runtime import load_model
from facenas.zoo import zoo_model


def workloads(quick: bool) -> Mapping[str, Callable[[], object]]:
    """What `facenas bench` times."""
    model = load_model(zoo_model(), resolve_target("cpu"))
    image = example_image(model.timed_size())
    return {"inference: shipped detector": lambda: model.run(image)}
