"""Training loop: sample, augment, embed, compute losses, step. A resumed run equals an unbroken one."""

from __future__ import annotations

import copy
import json
import time
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import torch

from speakerlight.core.errors import InputError
from speakerlight.core.models.compact_network import CompactSyncNet, standardised
from speakerlight.core.models.expert import fast_float_dtype
from speakerlight.core.training.augmentation import augmented_crops, augmented_mel
from speakerlight.core.training.dataset import Batch, Example, Sampler
from speakerlight.core.training.evaluation import clip_mel, padded_features, report, stacked
from speakerlight.core.training.losses import (
    LAG_TICKS,
    MAX_LAG_TICKS,
    match_loss,
    segment_similarities,
    when_loss,
    whether_loss,
    whose_loss,
)


@dataclass(frozen=True)
class TrainingSettings:
    """Settings of one run. The same settings give the same weights on the same machine."""

    steps: int = 2000
    seed: int = 0
    talking: int = 40
    """Talking clips in a batch: each is a negative of the others."""
    idle: int = 10
    """Idle faces in a batch."""
    ticks: int = 32
    learning_rate: float = 2e-3
    weight_decay: float = 0.05
    average_decay: float = 0.998
    """Decay of the running mean of the weights. The result of a run is this mean."""
    report_every: int = 250
    save_every: int = 50


class Trainer:
    """A run in a folder: ``state.pt`` to resume from, ``log.jsonl`` with losses and reports.

    ``start``: the initial weights of a run that does not resume; None: random ones. Raises InputError for a folder that
    holds a run of another length.
    """

    def __init__(
        self,
        settings: TrainingSettings,
        train: list[Example],
        held_out: list[Example],
        folder: Path,
        start: CompactSyncNet | None = None,
    ) -> None:
        torch.manual_seed(settings.seed)
        self._settings, self._held_out, self._folder = settings, held_out, folder
        self._sampler = Sampler(train, settings.talking, settings.idle, settings.ticks, settings.seed)
        self.network = start or CompactSyncNet()
        self.network.frames.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
        self._scales = torch.nn.Parameter(torch.tensor([2.5, 2.5, 2.6]))
        self._bias = torch.nn.Parameter(torch.tensor(-5.0))
        groups: list[dict[str, Any]] = [
            {"params": list(self.network.parameters())},
            {"params": [self._scales, self._bias], "weight_decay": 0.0},
        ]
        self._optimizer = torch.optim.AdamW(groups, lr=settings.learning_rate, weight_decay=settings.weight_decay)
        self._schedule = torch.optim.lr_scheduler.OneCycleLR(
            self._optimizer, settings.learning_rate, total_steps=settings.steps, pct_start=0.15
        )
        self.average = copy.deepcopy(self.network)
        self._step = 0
        folder.mkdir(parents=True, exist_ok=True)
        if (state := folder / "state.pt").exists():
            self._resume(torch.load(state, weights_only=True))

    def run(self) -> CompactSyncNet:
        s = self._settings
        began = time.monotonic()
        while self._step < s.steps:
            losses = self._train_step(self._sampler.batch(self._step))
            self._step += 1
            if self._step % 10 == 0:
                self._log({"step": self._step, "seconds": round(time.monotonic() - began, 1), **losses})
            if self._step % s.save_every == 0 or self._step == s.steps:
                self._save()
            if self._held_out and (self._step % s.report_every == 0 or self._step == s.steps):
                self._log({"step": self._step, "held_out": report(self.average, self._held_out)})
        return self.average

    def _train_step(self, batch: Batch) -> dict[str, float]:
        self.network.train()
        # Dropout uses torch's global generator, which must have the same state in a resumed run.
        generator = torch.manual_seed(self._settings.seed * 1_000_003 + self._step)
        talking = len(batch.samples)
        crops = augmented_crops(batch.crops, generator)
        mel = augmented_mel(clip_mel(batch.samples, crops.shape[1]), generator)
        stacks = standardised(stacked(crops))
        pixels = stacks.flatten(0, 1).contiguous(memory_format=torch.channels_last)
        # The convolutions take most of the time. Where bfloat16 is fast, a step takes a third of it; losses agree to
        # three digits.
        with torch.autocast("cpu", torch.bfloat16, enabled=fast_float_dtype() == torch.bfloat16):
            features = self.network.frames(pixels).float().view(*stacks.shape[:2], -1)
            audio = self.network.sound(mel).float()
        faces, logits = self.network.embed_windows(padded_features(features))
        scale = self._scales.exp().clamp(max=40.0)
        spoken = batch.spoken
        when = when_loss(faces[:talking], audio, scale[0], spoken)
        lags = (
            (LAG_TICKS * torch.randn(talking, generator=generator)).round().long().clamp(-MAX_LAG_TICKS, MAX_LAG_TICKS)
        )
        voices = faces[:talking], audio, faces[talking:]
        similarities, heard = segment_similarities(*voices, spoken, lags)
        whose = whose_loss(similarities, heard, scale[1])
        foreign = segment_similarities(*voices, batch.foreign, lags)
        match = match_loss(similarities, heard, *foreign, torch.stack([scale[2], self._bias]))
        known = ~batch.speech.isnan()
        whether = whether_loss(logits, batch.speech.nan_to_num(), known.float())
        loss = when + whose + 0.5 * match + 0.5 * whether
        self._optimizer.zero_grad(set_to_none=True)
        loss.backward()  # type: ignore[no-untyped-call]
        torch.nn.utils.clip_grad_norm_(self.network.parameters(), 5.0)
        self._optimizer.step()
        self._schedule.step()
        self._take_average()
        losses = {"when": when, "whose": whose, "match": match, "whether": whether}
        return {name: round(float(loss.detach()), 4) for name, loss in losses.items()}

    @torch.no_grad()
    def _take_average(self) -> None:
        # The mean adapts quickly at first, so that the initial weights do not persist in it.
        decay = min(self._settings.average_decay, 1 - 1 / (1 + 0.2 * self._step))
        for kept, new in zip(self.average.state_dict().values(), self.network.state_dict().values(), strict=True):
            if kept.is_floating_point():
                kept.lerp_(new, 1 - decay)
            else:
                kept.copy_(new)

    def _save(self) -> None:
        state = {
            "step": self._step,
            "network": self.network.state_dict(),
            "average": self.average.state_dict(),
            "scales": self._scales.data,
            "bias": self._bias.data,
            "optimizer": self._optimizer.state_dict(),
            "schedule": self._schedule.state_dict(),
        }
        partial = self._folder / "state.partial"
        torch.save(state, partial)
        partial.replace(self._folder / "state.pt")

    def _resume(self, state: dict[str, Any]) -> None:
        planned = state["schedule"]["total_steps"]
        if planned != self._settings.steps:
            raise InputError(
                f"{self._folder}: the learning rate of this run is planned for {planned} steps, not"
                f" {self._settings.steps}; give --steps {planned}, or another --run to begin anew"
            )
        self._step = int(state["step"])
        self.network.load_state_dict(state["network"])
        self.average.load_state_dict(state["average"])
        self._scales.data = torch.as_tensor(state["scales"])
        self._bias.data = torch.as_tensor(state["bias"])
        self._optimizer.load_state_dict(state["optimizer"])
        self._schedule.load_state_dict(state["schedule"])

    def _log(self, entry: dict[str, object]) -> None:
        line = json.dumps(entry)
        print(line, flush=True)
        with (self._folder / "log.jsonl").open("a") as log:
            if not log.tell():
                log.write(json.dumps(asdict(self._settings)) + "\n")
            log.write(line + "\n")
