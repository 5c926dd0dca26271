from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest
import torch

from speakerlight.core.errors import InputError
from speakerlight.core.models.compact_network import CompactSyncNet
from speakerlight.core.training.augmentation import plain_crops
from speakerlight.core.training.dataset import Sampler
from speakerlight.core.training.loop import Trainer, TrainingSettings
from tests.core.training.people import people

SETTINGS = TrainingSettings(steps=4, talking=4, idle=2, ticks=18, report_every=4, save_every=2)


class StoppedError(Exception):
    pass


class Stopping(Trainer):
    """Stops like a process that is killed after step 2 was saved."""

    def _save(self) -> None:
        super()._save()
        raise StoppedError


def test_a_resumed_run_gives_the_weights_of_an_unbroken_one(tmp_path: Path) -> None:
    examples = people(6)
    unbroken = Trainer(SETTINGS, examples, [], tmp_path / "unbroken").run()
    with pytest.raises(StoppedError):
        Stopping(SETTINGS, examples, [], tmp_path / "stopped").run()
    torch.rand(7)  # other code has drawn random numbers meanwhile
    resumed = Trainer(SETTINGS, examples, [], tmp_path / "stopped").run()
    for (name, first), second in zip(unbroken.state_dict().items(), resumed.state_dict().values(), strict=True):
        torch.testing.assert_close(first, second, rtol=0, atol=1e-6, msg=name)


def test_a_run_starts_from_the_given_weights(tmp_path: Path) -> None:
    start = CompactSyncNet()
    before = {name: tensor.clone() for name, tensor in start.state_dict().items()}
    trainer = Trainer(SETTINGS, people(6), [], tmp_path, start)
    for name, tensor in trainer.average.state_dict().items():
        torch.testing.assert_close(tensor, before[name], msg=name)


@pytest.mark.parametrize("steps", [2, 8])
def test_a_run_of_another_length_is_neither_resumed_nor_changed(tmp_path: Path, steps: int) -> None:
    Trainer(SETTINGS, people(6), [], tmp_path).run()
    before = (tmp_path / "state.pt").read_bytes()
    with pytest.raises(InputError, match=rf"planned for 4 steps, not {steps}; give --steps 4"):
        Trainer(replace(SETTINGS, steps=steps), people(6), [], tmp_path)
    assert (tmp_path / "state.pt").read_bytes() == before


def test_one_repeated_batch_is_learnt(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    batch = Sampler(people(4), 4, 2, SETTINGS.ticks, 0).batch(0)
    monkeypatch.setattr(Sampler, "batch", lambda self, step: batch)
    monkeypatch.setattr("speakerlight.core.training.loop.augmented_crops", lambda crops, generator: plain_crops(crops))
    monkeypatch.setattr("speakerlight.core.training.loop.augmented_mel", lambda mel, generator: mel)
    Trainer(replace(SETTINGS, steps=20, save_every=20), people(4), [], tmp_path).run()
    learnt = json.loads((tmp_path / "log.jsonl").read_text().splitlines()[-1])
    # Chance costs 2.8 and 1.4: the logarithms of the number of candidates.
    assert max(learnt["when"], learnt["whose"], learnt["whether"]) < 0.3


def test_a_run_logs_its_settings_and_reports(tmp_path: Path) -> None:
    Trainer(replace(SETTINGS, steps=10, report_every=10, save_every=10), people(6), people(4), tmp_path).run()
    log = [json.loads(line) for line in (tmp_path / "log.jsonl").read_text().splitlines()]
    assert log[0]["steps"] == 10 and log[1]["step"] == 10 and "true cosine" in log[2]["held_out"]
    assert not list(tmp_path.glob("*.partial"))
