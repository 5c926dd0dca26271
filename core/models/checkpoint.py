"""Checkpoint reading: weights of untrusted files, without running their code, with one-line errors."""

from __future__ import annotations

import io
import math
import pickle
import warnings
import zipfile
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeAlias

import numpy as np
import numpy.typing as npt
from safetensors import SafetensorError, safe_open

from speakerlight.core.errors import InputError

if TYPE_CHECKING:
    import torch
    from torch import nn

StateDict: TypeAlias = "dict[str, torch.Tensor]"


def load_pickled(path: Path) -> StateDict:
    """The weights in a ``.pth`` file, by name, on the CPU.

    Takes a training checkpoint (a dict with ``state_dict`` beside optimizer and step counts) or weights alone; the
    ``module.`` that DataParallel puts before every name is dropped.
    Raises InputError when the file is missing, broken, holds something else, or asks for code to be run.
    """
    import torch

    _require_file(path)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # warnings about the pickle's age, which the user cannot change
            content = torch.load(path, map_location="cpu", weights_only=True)
    except pickle.UnpicklingError as error:
        raise InputError(f"{path} is not a plain checkpoint, or is unsafe to open: only tensors are read") from error
    except Exception as error:  # damaged bytes end in nearly any exception, AssertionError among them
        raise _unreadable(path) from error
    state = content.get("state_dict", content) if isinstance(content, Mapping) else None
    if not isinstance(state, Mapping) or not state or not all(isinstance(v, torch.Tensor) for v in state.values()):
        raise InputError(f"{path} holds no model weights: give a checkpoint with a state_dict")
    return {str(name).removeprefix("module."): tensor for name, tensor in state.items()}


def load_safetensors(path: Path) -> tuple[dict[str, npt.NDArray[Any]], dict[str, str]]:
    """The weights in a ``.safetensors`` file, by name, floats as float32; its metadata header.

    Raises InputError when the file is missing or broken.
    """
    _require_file(path)
    try:
        with safe_open(str(path), framework="np") as file:
            weights = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
            return {name: _in_full(array) for name, array in weights.items()}, dict(file.metadata() or {})
    except (OSError, SafetensorError, ValueError, RuntimeError) as error:
        raise _unreadable(path) from error


def load_torchscript(path: Path) -> dict[str, npt.NDArray[np.float32]]:
    """The float32 tensors of a TorchScript file by name, read without PyTorch; none of its code is run.

    Raises InputError when the file is missing, broken or holds something else.
    """
    _require_file(path)
    try:
        with zipfile.ZipFile(path) as archive:
            return dict(_tensors("", _TorchScript(archive).load()))
    except Exception as error:  # damaged bytes end in nearly any exception here, too
        raise _unreadable(path) from error


class _Module:
    """A module of a TorchScript file: only its attributes are read."""


class _TorchScript(pickle.Unpickler):
    """Modules and tensors as PyTorch's own serialization writes them, and nothing else."""

    def __init__(self, archive: zipfile.ZipFile) -> None:
        self._archive = archive
        self._root = archive.namelist()[0].split("/")[0]
        super().__init__(io.BytesIO(archive.read(f"{self._root}/data.pkl")))

    def find_class(self, module: str, name: str) -> Any:
        known = {"_rebuild_tensor_v2": _shaped, "FloatStorage": np.float32, "OrderedDict": dict}
        if module.startswith("__torch__"):
            return _Module
        if module == "torch.jit._pickle":  # build_intlist and its like
            return list
        if name not in known:
            raise pickle.UnpicklingError(f"{module}.{name} is not read")
        return known[name]

    def persistent_load(self, reference: tuple[str, type[np.float32], str, str, int]) -> npt.NDArray[np.float32]:
        _, kind, name, _, _ = reference
        return np.frombuffer(self._archive.read(f"{self._root}/data/{name}"), kind)


def _shaped(
    storage: npt.NDArray[np.float32], first: int, shape: tuple[int, ...], strides: tuple[int, ...], *_: object
) -> npt.NDArray[np.float32]:
    array = storage[first : first + math.prod(shape)].reshape(shape)
    steps = zip(shape, array.strides, strides, strict=True)
    if any(size > 1 and step != stride * storage.itemsize for size, step, stride in steps):
        raise pickle.UnpicklingError("a tensor that is not contiguous is not read")
    return array


def _tensors(name: str, value: object) -> Iterator[tuple[str, npt.NDArray[np.float32]]]:
    if isinstance(value, np.ndarray):
        yield name, value
    elif isinstance(value, _Module):
        for attribute, inner in vars(value).items():
            yield from _tensors(f"{name}.{attribute}".removeprefix("."), inner)


def fill(model: nn.Module, state: StateDict, path: Path) -> None:
    """Copy ``state`` into ``model``; every weight must be there, in its shape, and no other.

    Raises InputError, naming the first misfit, when ``path`` holds another model.
    """
    wanted = model.state_dict()
    for name, tensor in wanted.items():
        if name not in state:
            raise InputError(f"{path} is not a checkpoint of this model: it has no {name}")
        if state[name].shape != tensor.shape:
            found, expected = list(state[name].shape), list(tensor.shape)
            raise InputError(f"{path} is not a checkpoint of this model: {name} is {found}, not {expected}")
    if unknown := next((name for name in state if name not in wanted), None):
        raise InputError(f"{path} is not a checkpoint of this model: it has an unknown {unknown}")
    if broken := next((n for n, t in state.items() if t.is_floating_point() and not t.isfinite().all()), None):
        raise InputError(f"{path} is damaged: {broken} holds values that are not numbers")
    model.load_state_dict(state)


def _in_full(array: npt.NDArray[Any]) -> npt.NDArray[Any]:
    return array.astype(np.float32) if np.issubdtype(array.dtype, np.floating) else array


def _require_file(path: Path) -> None:
    if not path.exists():
        raise InputError(f"no model file {path}: check the path")
    if not path.is_file():
        raise InputError(f"{path} is not a file: give the path of a checkpoint")
    if path.stat().st_size == 0:
        raise InputError(f"{path} is empty: get the file again")


def _unreadable(path: Path) -> InputError:
    return InputError(f"{path} is not a checkpoint, or only a part of one: get the file again")
