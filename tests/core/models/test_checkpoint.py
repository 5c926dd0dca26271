from __future__ import annotations

import os
import pickle
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import save_file

from speakerlight.core.errors import InputError
from speakerlight.core.models.checkpoint import fill, load_pickled, load_safetensors, load_torchscript


def layer() -> torch.nn.Linear:
    torch.manual_seed(0)
    return torch.nn.Linear(3, 2)


class Hostile:
    """Leaves a mark where a loader runs what a pickle asks for."""

    def __init__(self, mark: Path) -> None:
        self.mark = mark

    def __reduce__(self) -> tuple[Callable[[str], None], tuple[str]]:
        return os.mkdir, (str(self.mark),)


def refusal(call: Callable[[], object]) -> str:
    with pytest.raises(InputError) as refused:
        call()
    message = str(refused.value)
    assert "\n" not in message and len(message) < 300
    return message


def test_a_training_checkpoint_gives_its_weights(tmp_path: Path) -> None:
    model, path = layer(), tmp_path / "c.pth"
    optimizer = torch.optim.Adam(model.parameters())
    model(torch.ones(1, 3)).sum().backward()
    optimizer.step()
    checkpoint = {
        "state_dict": model.state_dict(),
        "optimizer": optimizer.state_dict(),
        "global_step": 1,
        "global_epoch": 1,
    }
    torch.save(checkpoint, path)
    loaded = load_pickled(path)
    assert loaded.keys() == {"weight", "bias"}
    assert torch.equal(loaded["weight"], model.weight)


@pytest.mark.parametrize("zipped", [True, False], ids=["new format", "format before torch 1.6"])
@pytest.mark.parametrize("prefix", ["", "module."])
def test_weights_alone_and_parallel_names_are_accepted_too(tmp_path: Path, prefix: str, zipped: bool) -> None:
    path = tmp_path / "c.pth"
    state = {prefix + name: tensor for name, tensor in layer().state_dict().items()}
    torch.save(state, path, _use_new_zipfile_serialization=zipped)
    model = torch.nn.Linear(3, 2)
    fill(model, load_pickled(path), path)
    assert torch.equal(model.weight, layer().weight)


def test_safetensors_give_weights_and_header(tmp_path: Path) -> None:
    path = tmp_path / "c.safetensors"
    save_file(layer().state_dict(), path, {"licence": "MIT"})
    weights, header = load_safetensors(path)
    assert np.array_equal(weights["weight"], layer().weight.detach()) and header == {"licence": "MIT"}
    save_file(layer().state_dict(), path)
    assert load_safetensors(path)[1] == {}


def test_torchscript_gives_its_tensors_by_name_without_pytorch(tmp_path: Path) -> None:
    path = tmp_path / "c.jit"
    network = torch.nn.Sequential(layer(), torch.nn.ReLU())
    torch.jit.save(torch.jit.script(network), path)
    weights = load_torchscript(path)
    assert set(weights) == set(network.state_dict())
    for name, tensor in network.state_dict().items():
        assert np.array_equal(weights[name], tensor)


@pytest.mark.parametrize("nested", [True, False])
def test_code_in_a_checkpoint_is_not_run(tmp_path: Path, nested: bool, capfd: pytest.CaptureFixture[str]) -> None:
    mark, path = tmp_path / "was-here", tmp_path / "c.pth"
    if nested:
        torch.save({"state_dict": layer().state_dict(), "optimizer": Hostile(mark)}, path)
    else:
        path.write_bytes(pickle.dumps(Hostile(mark)))
    assert "unsafe" in refusal(lambda: load_pickled(path))
    assert "not a checkpoint" in refusal(lambda: load_torchscript(path))
    assert not mark.exists()
    assert capfd.readouterr() == ("", "")


@pytest.mark.parametrize("load", [load_pickled, load_safetensors, load_torchscript])
@pytest.mark.parametrize(
    ("content", "message"),
    [(b"", "is empty"), (b"not a model, just text\n", "is not a"), (b"\x80\x02", "is not a"), (bytes(999), "is not a")],
    ids=["empty", "text", "cut pickle", "zeros"],
)
def test_what_is_no_checkpoint(tmp_path: Path, load: Callable[[Path], object], content: bytes, message: str) -> None:
    path = tmp_path / "c.pth"
    path.write_bytes(content)
    assert message in refusal(lambda: load(path))


@pytest.mark.parametrize("load", [load_pickled, load_safetensors, load_torchscript])
def test_what_is_no_file(tmp_path: Path, load: Callable[[Path], object]) -> None:
    assert "no model file" in refusal(lambda: load(tmp_path / "absent.pth"))
    assert "not a file" in refusal(lambda: load(tmp_path))


@pytest.mark.parametrize("share", [0.01, 0.5, 0.99])
@pytest.mark.parametrize("zipped", [True, False])
def test_half_a_download(tmp_path: Path, share: float, zipped: bool) -> None:
    path = tmp_path / "c.pth"
    torch.save({"state_dict": torch.nn.Linear(90, 90).state_dict()}, path, _use_new_zipfile_serialization=zipped)
    path.write_bytes(path.read_bytes()[: int(share * path.stat().st_size)])
    assert "get the file again" in refusal(lambda: load_pickled(path))
    save_file(torch.nn.Linear(90, 90).state_dict(), path)
    path.write_bytes(path.read_bytes()[: int(share * path.stat().st_size)])
    assert "get the file again" in refusal(lambda: load_safetensors(path))


@pytest.mark.parametrize("content", [{}, [1, 2], {"state_dict": {"weight": 3}}, {"state_dict": None}, torch.ones(2)])
def test_a_file_without_weights(tmp_path: Path, content: object) -> None:
    path = tmp_path / "c.pth"
    torch.save(content, path)
    assert "holds no model weights" in refusal(lambda: load_pickled(path))


def test_another_models_weights_are_named_by_the_first_misfit() -> None:
    path, good = Path("c.pth"), layer().state_dict()
    for state, misfit in [
        ({"weight": good["weight"]}, "no bias"),
        ({**good, "extra": good["bias"]}, "unknown extra"),
        ({**good, "bias": torch.zeros(5)}, r"bias is [5], not [2]"),
        ({**good, "bias": torch.tensor([1.0, float("nan")])}, "bias holds values that are not numbers"),
    ]:
        assert misfit in refusal(lambda state=state: fill(layer(), state, path))  # type: ignore[misc]
