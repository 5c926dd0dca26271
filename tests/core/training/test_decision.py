"""The fit of the decision: the same chain as at run time, and a loss that goes down."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch

from speakerlight.core.decision.chain import Chain, ChainConstants, speech_weight
from speakerlight.core.decision.emission import FEATURES, MAX_GAIN, EmissionFeatures, EmissionWeights
from speakerlight.core.decision.lag import LAGS, RoomLag
from speakerlight.core.decision.weights import load_decision
from speakerlight.core.training import decision
from speakerlight.core.training.conversations import NOBODY, Conversation
from speakerlight.core.training.decision import (
    DecisionModel,
    FitSettings,
    arrays_of,
    batch_of,
    conversation_features,
    expert_like,
    learn,
    loss_of,
    made_cautious,
    tick_weights,
)

SCALE, CENTRE = 4.0, 0.3
CENTRE_LAG = len(LAGS) // 2


def talk(seed: int, faces: int = 3, ticks: int = 200) -> Conversation:
    """Each second another face, or nobody, fits better than chance."""
    rng = np.random.default_rng(seed)
    label = np.repeat(rng.integers(0, faces + 1, ticks // 25), 25)
    cosines = rng.normal(0.25, 0.1, (faces, len(LAGS), ticks))
    for tick, who in enumerate(label.tolist()):
        if who != NOBODY:
            cosines[who - 1, CENTRE_LAG, tick] += 0.4
    visual_vad = rng.normal(1, 1, (faces, ticks)).astype(np.float32)
    everywhere = np.ones((faces, len(LAGS), ticks), np.bool_)
    speech = np.full(ticks, 0.9, np.float32)
    heard = rng.uniform(0.2, 1, (len(LAGS), ticks)).astype(np.float16)
    return Conversation(cosines.astype(np.float16), everywhere, visual_vad, heard, speech, everywhere[:, 0], label)


def test_features_of_a_whole_conversation_are_those_of_the_run_time() -> None:
    made, running = talk(0), EmissionFeatures(SCALE, CENTRE)
    whole = conversation_features(made, SCALE, CENTRE)
    for tick in range(60):
        seen = running.update(
            [1, 2, 3],
            made.cosines[:, :, tick].astype(np.float32),
            made.known[:, :, tick],
            made.visual_vad[:, tick],
            np.ones(3, np.float32),
            made.heard[:, tick].astype(np.float32),
        )
        np.testing.assert_allclose(seen, whole[tick], atol=2e-3)


def test_the_posterior_is_that_of_the_run_time() -> None:
    """But for the lag's prior, which the fit renews less often."""
    torch.manual_seed(0)
    model, made = DecisionModel(), talk(1)
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.add_(0.1 * torch.randn_like(parameter))
        x, spoken, speech, in_view, *_ = batch_of([made], SCALE, CENTRE)
        alone, both, nobody = model(x, spoken, speech, in_view)
    arrays = arrays_of(model, SCALE, CENTRE)
    weights, chain = EmissionWeights.of(arrays), Chain(ChainConstants.of(arrays), RoomLag())
    for k in range(40):
        gains = weights.gains(x[k, 0].numpy()) * speech_weight(made.heard[:, decision.STRIDE * k].astype(np.float32))
        posterior = chain.update([1, 2, 3], gains, float(speech[k, 0]), steps=decision.STRIDE)
        expected = (alone[k, 0] + both[k, 0].sum(1)).tolist()
        assert [posterior.faces[i] for i in (1, 2, 3)] == pytest.approx(expected, abs=0.03)
        assert posterior.nobody == pytest.approx(float(nobody[k, 0]), abs=0.03)


def test_fitting_raises_the_probability_of_the_truth(tmp_path: Path) -> None:
    talks = [talk(seed) for seed in range(8)]
    output = tmp_path / "weights.safetensors"
    learn(talks, output, FitSettings(steps=25, batch=4, learning_rate=0.05), {"note": "made"})
    weights = load_decision(output)
    emission, losses = weights.emission, []
    made = talk(99)
    features, chain = EmissionFeatures(emission.scale, emission.centre), Chain(weights.chain, RoomLag())
    for tick in range(200):
        cosines, heard = (a[..., tick].astype(np.float32) for a in (made.cosines, made.heard))
        ones, known = np.ones(3, np.float32), made.known[:, :, tick]
        seen = features.update([1, 2, 3], cosines, known, made.visual_vad[:, tick], ones, heard)
        posterior = chain.update([1, 2, 3], emission.gains(seen) * speech_weight(heard), 0.9)
        who = int(made.label[tick])
        losses.append(-np.log(max(posterior.nobody if who == NOBODY else posterior.faces[who], 1e-3)))
    assert np.mean(losses[50:]) < 1.0, "chance is 1.39"


def test_gradients_are_finite_also_of_a_single_face_and_of_long_runs() -> None:
    for faces in (1, 2):
        model = DecisionModel()
        with torch.no_grad():
            model.linear.bias.add_(1.5)
        *inputs, in_view, label, weight = batch_of([talk(3, faces, 500)], SCALE, CENTRE)
        torch.autograd.backward(loss_of(model(*inputs, in_view), label, weight, in_view))
        assert all(torch.isfinite(p.grad).all() for p in model.parameters() if p.grad is not None)


def test_early_ticks_of_a_turn_count_more_but_the_first_and_pauses_not_at_all() -> None:
    made = talk(4)
    made.speech[30:40] = 0.0
    weights = tick_weights(made)
    assert (weights[30:40] == 0).all() and weights[0] == weights[22] == 1 < weights[10]


def test_what_is_stored_expects_nobody_in_view_more_than_what_was_fitted() -> None:
    fitted = arrays_of(DecisionModel(), SCALE, CENTRE)
    stored = made_cautious(fitted)
    assert stored["nobody"] > fitted["nobody"]
    assert all(stored[name] is value for name, value in fitted.items() if name != "nobody")


def test_a_fit_may_go_on_from_stored_weights() -> None:
    stored = arrays_of(DecisionModel(), SCALE, CENTRE)
    model = DecisionModel()
    model.load(stored)
    for name, value in arrays_of(model, SCALE, CENTRE).items():
        assert value == pytest.approx(stored[name], abs=1e-6), name


def test_the_experts_stand_in_has_its_range_and_no_visual_speech() -> None:
    made = expert_like(talk(5), np.random.default_rng(0))
    assert made.cosines.min() >= 0 and made.cosines.max() <= 1 and not made.visual_vad.any()


def test_shipped_weights_are_in_range() -> None:
    from speakerlight.core.decision.weights import FOLDER

    for path in FOLDER.glob("*.safetensors"):
        weights = load_decision(path)
        c = weights.chain
        assert 0 < c.change < c.fade < 0.5 and 0 < c.pair < 0.1 and c.nobody > 0
        assert c.join + c.change < 0.2 and c.leave < 0.5
        rng = np.random.default_rng(0)
        gains = weights.emission.gains(rng.normal(0, 1, (2, len(LAGS), FEATURES)).astype(np.float32))
        assert np.isfinite(gains).all() and np.abs(gains).max() <= MAX_GAIN
