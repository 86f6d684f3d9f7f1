"""A slice cut from a supernet's checkpoint: its weights, the norms of its photos, and a file that answers like it."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from facenas.exporters.onnx import onnx_of_checkpoint
from helpers.random_networks import TINY, checkpoint_of, random_image, random_network
from helpers.random_supernet import write_photos, write_supernet
from helpers.tiny_elastic import TINY_SPACE
from hypothesis import given, settings
from hypothesis import strategies as st

from facenas.architecture import parse_architecture
from facenas.checkpoint import TrainedSpace, load_checkpoint, save_checkpoint
from facenas.devices.targets import resolve_target
from facenas.errors import InputError
from facenas.networks.elastic_network import ElasticNetwork
from facenas.networks.norm_photos import NormPhotos, choose_norm_photos
from facenas.networks.reference import TorchReference
from facenas.networks.slices import open_supernet
from facenas.runtimes.runtime import load_model
from facenas.units import Size

SIZE = Size(64, 64)


@pytest.fixture(scope="module")
def path(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_supernet(tmp_path_factory.mktemp("supernet") / "supernet.safetensors", TINY_SPACE)


@pytest.fixture(scope="module")
def crops() -> list[torch.Tensor]:
    torch.manual_seed(3)
    return [torch.randn(8, 3, 64, 64)]


@settings(max_examples=10, deadline=None)
@given(seed=st.integers(0, 2**32 - 1))
def test_exported_it_answers_like_the_slice_in_torch(path: Path, crops: list[torch.Tensor], seed: int) -> None:
    member = TINY_SPACE.random_member(np.random.default_rng(seed))
    cut = open_supernet(path, TINY_SPACE).slice(member, crops, {})
    model = onnx_of_checkpoint(cut, input_size=SIZE, dynamic=False)
    exported = load_model(model.SerializeToString(), resolve_target("cpu"))
    image = random_image(SIZE, seed=seed % 100)
    for name, expected in TorchReference(cut).run(image).items():
        np.testing.assert_allclose(exported.run(image)[name], expected, atol=1e-4, rtol=1e-4)


def test_with_the_moments_of_a_batch_it_answers_that_batch_as_the_supernet_does(
    path: Path, crops: list[torch.Tensor]
) -> None:
    checkpoint = load_checkpoint(path, supernet=True)
    network = ElasticNetwork(TINY_SPACE)
    network.load_state_dict({name: torch.from_numpy(np.array(each)) for name, each in checkpoint.tensors.items()})
    cut = open_supernet(path, TINY_SPACE).slice(TINY_SPACE.middle, crops, {})
    with torch.no_grad():
        expected = network.run(TINY_SPACE.middle, crops[0])
    for answer, wanted in zip(TorchReference(cut).run(crops[0].numpy()).values(), expected, strict=True):
        assert np.abs(answer - wanted.numpy()).mean() < 0.05 * wanted.numpy().std()


def test_it_is_an_ordinary_checkpoint_that_says_where_it_is_from(
    tmp_path: Path, path: Path, crops: list[torch.Tensor]
) -> None:
    cut = open_supernet(path, TINY_SPACE).slice(TINY_SPACE.smallest, crops, {"photos": "mine", "crops": 8})
    save_checkpoint(tmp_path / "slice.safetensors", cut)
    read = load_checkpoint(tmp_path / "slice.safetensors")
    assert read.detector == TINY_SPACE.smallest
    assert read.origin["norms"] == {"photos": "mine", "crops": 8}
    assert read.origin["supernet"]["file"] == "supernet.safetensors"
    assert len(read.origin["supernet"]["sha256"]) == 64
    assert (read.origin["data"], read.origin["step"]) == ("none", 7)
    weight = "backbone.stage4.0.conv1.conv.weight"
    out_channels, in_channels = read.tensors[weight].shape[:2]
    largest = load_checkpoint(path, supernet=True).tensors[weight]
    np.testing.assert_array_equal(read.tensors[weight], largest[:out_channels, :in_channels])


def test_a_training_s_last_state_will_do(tmp_path: Path, path: Path, crops: list[torch.Tensor]) -> None:
    checkpoint = load_checkpoint(path, supernet=True)
    state = {f"average/{name}": tensor for name, tensor in checkpoint.tensors.items()}
    state |= {f"network/{name}": tensor + 1 for name, tensor in checkpoint.tensors.items()}
    save_checkpoint(tmp_path / "last.safetensors", replace(checkpoint, tensors=state))
    cuts = [
        open_supernet(each, TINY_SPACE).slice(TINY_SPACE.middle, crops, {}).tensors
        for each in (path, tmp_path / "last.safetensors")
    ]
    for name, tensor in cuts[0].items():
        np.testing.assert_array_equal(tensor, cuts[1][name])


def test_what_is_no_slice_is_refused_with_the_choice(path: Path, crops: list[torch.Tensor]) -> None:
    other = parse_architecture(str(TINY_SPACE.smallest).replace("PAFPN(8)", "PAFPN(12)"))
    with pytest.raises(InputError, match="a neck of width 12; space 'tiny' has 8, 16"):
        open_supernet(path, TINY_SPACE).slice(other, crops, {})


def test_a_supernet_of_other_choices_is_refused(path: Path) -> None:
    with pytest.raises(InputError, match="space 'tiny' with other choices than 'changed' has now; train it again"):
        open_supernet(path, replace(TINY_SPACE, name="changed", head_convs=(2,)))
    with pytest.raises(InputError, match=r"no elastic space 'tiny'.*there is facenas-elastic"):
        open_supernet(path)


def test_a_single_detectors_checkpoint_is_no_supernet(tmp_path: Path) -> None:
    save_checkpoint(tmp_path / "alone.safetensors", checkpoint_of(random_network(TINY), SIZE))
    with pytest.raises(InputError, match=r"single detector 'SuperConv.*no supernet; give .*train --space"):
        open_supernet(tmp_path / "alone.safetensors", TINY_SPACE)


def test_a_supernet_where_a_detector_is_meant_names_the_verb(path: Path) -> None:
    with pytest.raises(InputError, match="no single detector; cut one out with `facenas slice --supernet"):
        load_checkpoint(path)


def test_a_supernet_of_another_schema_is_refused(tmp_path: Path, path: Path) -> None:
    content = path.read_bytes().replace(b'\\"schema\\": 1', b'\\"schema\\": 9')
    assert content != path.read_bytes()
    (tmp_path / "new.safetensors").write_bytes(content)
    with pytest.raises(InputError, match="schema 9, this facenas reads 1"):
        open_supernet(tmp_path / "new.safetensors", TINY_SPACE)


def test_a_damaged_space_is_refused(tmp_path: Path, path: Path) -> None:
    checkpoint = load_checkpoint(path, supernet=True)
    other = replace(checkpoint, detector=TINY_SPACE.middle, space=TrainedSpace("tiny", TINY_SPACE.digest))
    save_checkpoint(tmp_path / "odd.safetensors", other)
    with pytest.raises(InputError, match="other choices"):
        open_supernet(tmp_path / "odd.safetensors", TINY_SPACE)


def test_crops_are_of_all_photos_and_the_same_every_time(tmp_path: Path) -> None:
    folder = write_photos(tmp_path, 20)
    chosen = choose_norm_photos(folder, 64)
    assert len(set(chosen.photos)) == 20
    assert {Path(photo).parent.name for photo in chosen.photos} == {"", "below"}
    first, second = (list(choose_norm_photos(folder, 64).batches()) for _ in range(2))
    assert sum(len(batch) for batch in first) == 64
    assert all(torch.equal(one, other) for one, other in zip(first, second, strict=True))
    crop_of_a_photo, another_of_it = first[0][0], first[1][4]  # 20 crops later
    assert not torch.equal(crop_of_a_photo, another_of_it)
    assert chosen.to_json() == {"photos": tmp_path.name, "count": 20, "crops": 64, "seed": 0}
    assert len(set(choose_norm_photos(folder, 16).photos)) == 16


def test_without_a_folder_photos_are_drawn() -> None:
    assert choose_norm_photos(None).to_json()["photos"] == "synthetic"
    (batch,) = NormPhotos(None, (), 3).batches()
    assert batch.shape == (3, 3, 256, 256)
    assert batch.std() > 0.1


def test_too_few_photos_or_crops_are_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="holds 15 photos, the norms of a slice need 16 or more; add photos"):
        choose_norm_photos(write_photos(tmp_path, 15))
    with pytest.raises(InputError, match="4 crops are too few for the norms of a slice; ask for 64"):
        choose_norm_photos(None, 4)
    with pytest.raises(InputError, match="no folder"):
        choose_norm_photos(tmp_path / "absent")


def test_a_supernet_with_landmarks_has_slices_with_and_without(tmp_path: Path, crops: list[torch.Tensor]) -> None:
    """The landmarks' outputs come last, so the slice that ends before them answers the same scores and boxes."""
    space = replace(TINY_SPACE, landmarks=True)
    supernet = open_supernet(write_supernet(tmp_path / "supernet.safetensors", space), space)
    member = space.middle
    assert member.landmarks
    whole, without = (supernet.slice(replace(member, landmarks=kept), crops, {}) for kept in (True, False))
    image = random_image(SIZE)
    answers, fewer = (TorchReference(each).run(image) for each in (whole, without))
    for name, expected in fewer.items():
        assert answers[name].shape[1] > expected.shape[1]
        np.testing.assert_allclose(answers[name][:, : expected.shape[1]], expected, atol=1e-5)
    with pytest.raises(InputError, match="other choices"):
        open_supernet(tmp_path / "supernet.safetensors", TINY_SPACE)
