from __future__ import annotations

import numpy as np
import pytest
import torch

from speakerlight.core.audio.logmel import COMPACT_MEL
from speakerlight.core.models.compact import CROP, FRAME_STACK, FRAME_WINDOW, MEL_WINDOW, Compact
from speakerlight.core.models.compact_loading import load_compact
from speakerlight.core.models.cuda_graph import BATCH_SIZES, Upload, recorded
from speakerlight.core.models.features import joined
from speakerlight.core.models.lipsync import FaceEmbeddings

CPU = torch.device("cpu")
CUDA = torch.device("cuda")

needs_cuda = pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device")


def double(rows: torch.Tensor) -> torch.Tensor:
    return 2 * rows


def test_on_the_cpu_a_function_stays_as_it_is() -> None:
    assert recorded(double, torch.zeros(3)) is double


def test_on_the_cpu_nothing_is_copied() -> None:
    array = np.arange(6, dtype=np.uint8).reshape(2, 3)
    sent = Upload(CPU)(array)
    array[0, 0] = 9
    assert sent.tolist() == [[9, 1, 2], [3, 4, 5]]


def test_what_does_not_lie_in_one_piece_is_sent_all_the_same() -> None:
    assert Upload(CPU)(np.arange(6).reshape(2, 3)[:, 1]).tolist() == [1, 4]


@needs_cuda
@pytest.mark.parametrize("count", [1, 3, *BATCH_SIZES, BATCH_SIZES[-1] + 1])
def test_a_replay_gives_what_the_function_gives(count: int) -> None:
    replayed = recorded(double, torch.zeros(3, device=CUDA))
    for seed in range(2):
        rows = torch.full((count, 3), float(seed), device=CUDA) + torch.arange(count, device=CUDA)[:, None]
        assert torch.equal(replayed(rows), 2 * rows)


@needs_cuda
def test_a_result_outlives_the_next_replay() -> None:
    replayed = recorded(double, torch.zeros(3, device=CUDA))
    first = replayed(torch.ones(2, 3, device=CUDA))
    replayed(torch.zeros(2, 3, device=CUDA))
    assert (first == 2).all()


@needs_cuda
def test_what_is_sent_stays_when_the_next_is_staged() -> None:
    upload = Upload(CUDA)
    arrays = [np.full((64, 48, 48), value, np.uint8) for value in range(20)]
    sent = [upload(array) for array in arrays]
    assert [int(rows.float().mean()) for rows in sent] == list(range(20))


@needs_cuda
def test_the_compact_model_gives_on_the_card_what_it_gives_on_the_cpu() -> None:
    rng = np.random.default_rng(0)
    side = CROP.side_pixels
    plain, fast = load_compact("cpu"), load_compact("cuda")
    stacks = rng.integers(0, 256, (7, FRAME_STACK, side, side), dtype=np.uint8)
    mel = rng.uniform(-1, 1, (7, MEL_WINDOW, COMPACT_MEL.mels)).astype(np.float32)

    def embedded(model: Compact) -> FaceEmbeddings:
        features = model.encode_frames(stacks)
        rows = [features[row : row + 1] for row in range(7) for _ in range(FRAME_WINDOW)]
        return model.embed_faces(joined(rows).reshape(7, FRAME_WINDOW, -1))

    faces = [embedded(model) for model in (plain, fast)]
    # A card's convolutions may use TF32, whose ten bits of mantissa are bfloat16's and three more.
    assert ((faces[0].vectors * faces[1].vectors).sum(1) > 0.999).all()
    assert ((plain.embed_audio(mel) * fast.embed_audio(mel)).sum(1) > 0.999).all()
