from __future__ import annotations

import math
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from speakerlight.core.errors import InputError
from speakerlight.core.models.compact_network import CompactSyncNet
from speakerlight.core.timebase import SAMPLES_PER_TICK
from speakerlight.core.training.evaluation import (
    ClipLabel,
    EmbeddedClip,
    clip_measures,
    embed_all,
    embed_clip,
    offset_found,
    padded_features,
    read_labels,
    report,
    report_by_group,
    stacked,
    turns_found,
    whose_voice,
    with_second_voices,
)
from tests.core.training.people import people, person


@pytest.fixture(scope="module")
def network() -> CompactSyncNet:
    torch.manual_seed(0)
    return CompactSyncNet().eval()


def clip(seed: int, ticks: int = 100, lag: int = 0) -> EmbeddedClip:
    """The embeddings of a perfect model: the audio equals the face, ``lag`` ticks later."""
    faces = np.random.default_rng(seed).normal(size=(ticks, 32)).astype(np.float32)
    faces /= np.linalg.norm(faces, axis=1, keepdims=True)
    return EmbeddedClip(faces, np.roll(faces, lag, axis=0), np.ones(ticks, np.float32))


def unrelated(seed: int) -> EmbeddedClip:
    return EmbeddedClip(clip(seed).faces, clip(seed + 1000).faces, np.ones(100, np.float32))


def test_a_perfect_model_always_finds_the_speaker() -> None:
    assert whose_voice([clip(k) for k in range(6)], 1.0, windows=50) == (1.0, 50)


@pytest.mark.parametrize(("allowed", "share"), [(1, 0.25), (3, 1.0)])
def test_clips_out_of_sync_match_within_the_allowed_lags(allowed: int, share: float) -> None:
    clips = [clip(k, lag=(-1) ** k * 3) for k in range(20)]
    assert whose_voice(clips, 1.0, windows=400, lags=allowed)[0] == pytest.approx(share, abs=0.12)


def test_a_shifted_voice_matches_at_its_lag() -> None:
    clips = [clip(k) for k in range(20)]
    # One in five draws shifts it by zero.
    assert whose_voice(clips, 1.0, windows=400, apart=2)[0] == pytest.approx(0.2 + 0.8 * 0.25, abs=0.1)
    assert whose_voice(clips, 1.0, windows=400, apart=2, lags=2)[0] == 1.0


def test_unrelated_embeddings_score_at_chance() -> None:
    share, _ = whose_voice([unrelated(k) for k in range(20)], 1.0, windows=400)
    assert share == pytest.approx(0.25, abs=0.1)
    found, _ = offset_found([unrelated(k) for k in range(20)], 1.0, windows=400)
    assert found == pytest.approx(3 / 21, abs=0.1)


@pytest.mark.parametrize(("lag", "share"), [(0, 1.0), (1, 1.0), (-1, 1.0), (3, 0.0)])
def test_an_offset_counts_as_found_within_a_frame(lag: int, share: float) -> None:
    assert offset_found([clip(k, lag=lag) for k in range(3)], 1.0, windows=30)[0] == share


def test_too_few_people_give_nan() -> None:
    share, windows = whose_voice([clip(k) for k in range(3)], 1.0)
    assert math.isnan(share) and windows == 0
    assert math.isnan(offset_found([clip(0, ticks=20)], 1.0)[0])


def test_a_clip_has_one_embedding_a_tick(network: CompactSyncNet) -> None:
    (example,) = people(1, ticks=30)
    embedded = embed_clip(network, example.face.crops, example.face.samples)
    assert embedded.faces.shape == embedded.audio.shape == (30, 128) and embedded.visual_vad.shape == (30,)
    for vectors in (embedded.faces, embedded.audio):
        np.testing.assert_allclose(np.linalg.norm(vectors, axis=1), 1, atol=1e-5)
    assert embedded.visual_vad.min() >= 0 and embedded.visual_vad.max() <= 1


def test_clips_are_embedded_without_dropout() -> None:
    network = CompactSyncNet().train()
    first, second = (embed_all(network, people(1, ticks=25))[0] for _ in range(2))
    np.testing.assert_array_equal(first.faces, second.faces)


def test_each_frame_is_stacked_with_the_two_before_it() -> None:
    numbered = torch.arange(5.0)[None, :, None, None].expand(1, 5, 2, 2)
    assert stacked(numbered)[0, :, :, 0, 0].tolist() == [[0, 0, 0], [0, 0, 1], [0, 1, 2], [1, 2, 3], [2, 3, 4]]


def test_features_are_zero_before_the_start_and_after_the_end() -> None:
    padded = padded_features(torch.ones(1, 3, 2))
    assert padded.shape == (1, 2, 15)
    assert padded[0, 0].tolist() == [0] * 8 + [1] * 3 + [0] * 4


def test_a_second_voice_is_the_next_examples_and_as_loud() -> None:
    examples = [*people(2, ticks=30), person(2, ticks=45)]
    for mixed, example, other in zip(with_second_voices(examples), examples, [*examples[1:], examples[0]], strict=True):
        own, second = example.face.samples, mixed.face.samples - example.face.samples
        assert mixed.face.samples.dtype == np.float32 and len(second) == len(own)
        assert np.std(second) == pytest.approx(np.std(own), rel=0.01)
        repeated = np.resize(other.face.samples, len(own))
        assert np.corrcoef(second, repeated)[0, 1] > 0.999
        assert mixed.face.crops is example.face.crops


@pytest.mark.parametrize(("lag", "share"), [(0, 1.0), (3, 1.0), (9, 0.25)])
def test_a_turn_is_found_from_its_first_ticks_at_the_clips_own_lag(
    monkeypatch: pytest.MonkeyPatch, network: CompactSyncNet, lag: int, share: float
) -> None:
    """A perfect model: every tick of every clip has a level and a vector of its own."""
    table = np.random.default_rng(0).normal(size=(1001, 64)).astype(np.float32)
    table /= np.linalg.norm(table, axis=1, keepdims=True)
    examples, clips = [], []
    for k in range(10):
        own = 100 * k + 1 + np.arange(100)
        heard = np.roll(own, lag)
        made = person(k, ticks=100)
        samples = np.repeat(heard / 1000, SAMPLES_PER_TICK).astype(np.float32)
        examples.append(replace(made, face=replace(made.face, samples=samples), speech=np.ones(100, np.float32)))
        clips.append(EmbeddedClip(table[own], table[heard], np.ones(100, np.float32)))

    def embedded(_: CompactSyncNet, samples: np.ndarray, ticks: int) -> np.ndarray:
        return np.asarray(table[np.rint(1000 * samples[::SAMPLES_PER_TICK][:ticks]).astype(int)])

    monkeypatch.setattr("speakerlight.core.training.evaluation.embed_audio", embedded)
    assert turns_found(network, examples, clips, 0.25, turns=200) == pytest.approx(share, abs=0.12)
    silent = [replace(example, speech=np.zeros(100, np.float32)) for example in examples]
    assert math.isnan(turns_found(network, silent, clips, 0.25))


def test_a_report_has_every_measure(network: CompactSyncNet) -> None:
    talking = [replace(example, speech=np.ones(75, np.float32)) for example in people(4, ticks=75)]
    measures = report(network, talking)
    assert "whose voice of 4, 1 s, beside another as loud" in measures
    assert {"whose voice of 4, 1 s", "offset within a frame, 2 s", "true cosine", "frozen cosine"} <= set(measures)
    assert all(math.isfinite(value) for value in measures.values())


def test_own_lags_are_corrected_and_free_lags_searched() -> None:
    """Clips up to five ticks apart: their own lags find them, a search within three only some."""
    clips = [clip(k, lag=lag) for k, lag in enumerate((-5, 5, -5, 5, 0, 2, 5, -5))]
    measures = clip_measures(clips, [str(k) for k in range(8)])
    assert measures["whose voice of 4, 1 s, own lags"].tolist() == [1.0] * 8
    assert measures["whose voice of 4, 2 s, free lags"].tolist() == [1.0] * 8
    assert (measures["rise of the peak"] > 0.8).all()


def test_a_persons_other_clips_are_no_rivals_and_short_clips_have_no_measure() -> None:
    double = clip(0)
    clips = [double, double, *(clip(k) for k in range(1, 4)), clip(9, ticks=32)]
    measures = clip_measures(clips, ["twin", "twin", "b", "c", "d", "e"])
    shares = measures["whose voice of 4, 1 s, own lags"]
    assert shares[:5].tolist() == [1.0] * 5 and math.isnan(shares[5])


def test_people_count_once_in_each_group(network: CompactSyncNet, monkeypatch: pytest.MonkeyPatch) -> None:
    examples = people(4, ticks=25)
    labels = {
        e.face.name: ClipLabel(person, groups)
        for e, person, groups in zip(examples, "aabc", [("beard",), (), ("beard", "phone"), ()], strict=True)
    }
    values = {"rise of the peak": np.array([0.1, 0.3, 0.4, np.nan])}
    monkeypatch.setattr("speakerlight.core.training.evaluation.clip_measures", lambda clips, people: values)
    groups = report_by_group(network, examples, labels)
    assert groups["all"] == {"people": 3, "rise of the peak": pytest.approx(0.3)}
    assert groups["beard"] == {"people": 2, "rise of the peak": pytest.approx(0.25)}
    assert groups["phone"] == {"people": 1, "rise of the peak": pytest.approx(0.4)}
    with pytest.raises(InputError, match="has no label"):
        report_by_group(network, [*examples, person(8)], labels)


def test_labels_are_read_by_file_name(tmp_path: Path) -> None:
    listed = tmp_path / "groups.csv"
    listed.write_text("file,person,groups\na_1.mp4,ann,beard low-light\nb.mp4,bob,\n")
    assert read_labels(listed) == {"a_1": ClipLabel("ann", ("beard", "low-light")), "b": ClipLabel("bob", ())}
    listed.write_text("file,speaker\na.mp4,ann\n")
    with pytest.raises(InputError, match="file, person, groups"):
        read_labels(listed)


def test_the_labels_of_the_dev_people_have_known_groups() -> None:
    labels = read_labels(Path(__file__).parents[2] / "data" / "dev_people_groups.csv")
    known = {"beard", "dark-skin", "glasses", "low-light", "phone", "studio", "three-quarter"}
    assert len(labels) == 71 and {group for label in labels.values() for group in label.groups} == known
