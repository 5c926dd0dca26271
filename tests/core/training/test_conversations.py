"""Synthetic conversations: the audio matches the person labelled as speaking, at the lag, and no other person."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import pytest

from speakerlight.core.decision.lag import LAGS
from speakerlight.core.errors import InputError
from speakerlight.core.training import conversations
from speakerlight.core.training.conversations import (
    MOST_PEOPLE,
    NO_SPEECH,
    NOBODY,
    TICKS,
    Clip,
    Conversation,
    ConversationMaker,
    Looks,
    Person,
    drawn_scene,
    lag_cosines,
    pairs,
    roughened,
)
from speakerlight.core.training.dataset import DRAWN

SIZE, CLIP_TICKS = 16, 60
RATE = 640


def codes(seed: int, count: int) -> npt.NDArray[np.float32]:
    out = np.random.default_rng(seed).normal(size=(count, SIZE)).astype(np.float32)
    return np.asarray(out / np.linalg.norm(out, axis=1, keepdims=True))


def person(number: int) -> Person:
    """Whose talking face shows at each moment what its audio says: the tick's code, in the samples as in the vector."""
    talking = Looks(codes(number, CLIP_TICKS), np.ones(CLIP_TICKS, np.float32))
    idle = Looks(codes(1000 + number, 80), -np.ones(80, np.float32))
    samples = np.zeros((CLIP_TICKS, RATE), np.float32)
    samples[:, :SIZE] = talking.vectors
    return Person(f"p{number}", "people", (Clip(talking, talking, (idle, idle, idle), samples.ravel()),))


def encode(samples: npt.NDArray[np.float32], ticks: int) -> npt.NDArray[np.float32]:
    vectors = samples[: ticks * RATE].reshape(ticks, RATE)[:, :SIZE]
    return np.asarray(vectors / np.maximum(np.linalg.norm(vectors, axis=1, keepdims=True), 1e-6), np.float32)


@pytest.fixture(scope="module")
def talks() -> list[Conversation]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(conversations, "speech_of", lambda samples: np.ones(len(samples) // RATE, np.float32))
        maker = ConversationMaker([person(k) for k in range(12)], encode, seed=3)
        return [maker.conversation(k) for k in range(40)]


def test_who_is_labelled_fits_at_some_lag_and_the_others_do_not(talks: list[Conversation]) -> None:
    fits: list[float] = []
    others: list[float] = []
    for talk in talks:
        n = len(talk.cosines)
        for face in range(n):
            alone = talk.label == 1 + face
            if alone.sum() < 50:
                continue
            curves = np.where(talk.known, talk.cosines, 0).astype(np.float32)[:, :, alone].mean(axis=2).max(axis=1)
            fits.append(float(curves[face]))
            others += np.delete(curves, face).tolist()
    assert len(fits) > 20 and np.median(fits) > 0.6
    assert np.quantile(others, 0.9) < 0.3


def test_a_speakers_embeddings_err_by_the_roughness_for_a_syllable_at_a_time() -> None:
    rng = np.random.default_rng(0)
    exact = np.repeat(codes(0, 1), 4000, axis=0)
    rough = [roughened(exact, roughness, rng) for roughness in (0.0, 0.6, 1.2)]
    assert all(np.allclose(np.linalg.norm(r, axis=1), 1, atol=1e-5) for r in rough)
    matches = [(r * exact).sum(axis=1) for r in rough]
    assert np.allclose(matches[0], 1)
    size = np.abs(rng.normal(size=100_000))
    for roughness, match in zip((0.6, 1.2), matches[1:], strict=True):
        assert match.mean() == pytest.approx((1 / np.sqrt(1 + (roughness * size) ** 2)).mean(), abs=0.03)
    # Neighbouring ticks err alike, those a second apart do not.
    error = matches[1] - matches[1].mean()
    assert (error[1:] * error[:-1]).mean() > 0.7 * (error**2).mean() > 3.5 * abs((error[25:] * error[:-25]).mean())


def test_listeners_and_drawn_people_keep_their_embeddings(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(conversations, "speech_of", lambda samples: np.ones(len(samples) // RATE, np.float32))
    drawn = [Person(p.name, DRAWN, p.clips) for p in map(person, range(12))]
    people = [person(20 + k) for k in range(12)]

    def best(talk: Conversation) -> list[float]:
        cosines = np.where(talk.known, talk.cosines, 0).astype(np.float32).max(axis=1)
        return [float(np.median(c[talk.label == 1 + i])) for i, c in enumerate(cosines) if (talk.label == 1 + i).any()]

    monkeypatch.setattr(conversations, "_DRAWN_SHARE", 1.0)
    exact = [b for k in range(10) for b in best(ConversationMaker(people + drawn, encode, seed=3).conversation(k))]
    monkeypatch.setattr(conversations, "_DRAWN_SHARE", 0.0)
    rough = [b for k in range(10) for b in best(ConversationMaker(people + drawn, encode, seed=3).conversation(k))]
    assert np.median(exact) > 0.99 > np.median(rough) > 0.7


def test_every_kind_of_label_comes_up(talks: list[Conversation]) -> None:
    kinds = set()
    for talk in talks:
        n = len(talk.cosines)
        assert talk.label.min() >= NO_SPEECH and talk.label.max() <= n + len(pairs(n))
        kinds |= {"one" if 0 < k <= n else "pair" if k > n else k for k in np.unique(talk.label).tolist()}
    assert kinds == {NO_SPEECH, NOBODY, "one", "pair"}


def test_who_is_out_of_view_is_not_labelled(talks: list[Conversation]) -> None:
    for talk in talks:
        for face in range(len(talk.cosines)):
            assert not ((talk.label == 1 + face) & ~talk.in_view[face]).any()
            assert not (talk.known[face].any(axis=0) & ~talk.in_view[face]).all()


def test_speech_is_that_of_the_audio_at_each_lag(talks: list[Conversation]) -> None:
    inner = slice(20, -20)
    for made in talks:
        heard = made.heard
        assert any(np.allclose(row[inner], made.speech[inner], atol=1e-3) for row in heard), "one is the room's"
        moved = [np.array_equal(heard[k + 1, inner], heard[k, 21:-19]) for k in range(len(LAGS) - 1)]
        newest = moved.index(False) if False in moved else len(moved)
        assert newest >= len(LAGS) // 2, "audio is known up to the tick, at least"
        assert all(np.array_equal(heard[k, inner], heard[newest, inner]) for k in range(newest, len(LAGS)))


def test_a_conversation_depends_on_its_number_alone(talks: list[Conversation]) -> None:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(conversations, "speech_of", lambda samples: np.ones(len(samples) // RATE, np.float32))
        again = ConversationMaker([person(k) for k in range(12)], encode, seed=3).conversation(7)
    np.testing.assert_array_equal(again.cosines, talks[7].cosines)
    np.testing.assert_array_equal(again.label, talks[7].label)


def test_scenes_are_of_all_kinds() -> None:
    scenes = [drawn_scene(np.random.default_rng(k)) for k in range(200)]
    assert {s.seen for s in scenes} == {1, 2, 3, 4, 5, 6, 8} and {s.away for s in scenes} == {0, 1, 2}
    assert max(s.seen + s.away for s in scenes) <= MOST_PEOPLE
    for flag in ("held", "tiles", "slips", "overlaps", "comes_and_goes", "is_lost", "noisy"):
        assert 0.03 < np.mean([getattr(s, flag) for s in scenes]) < 0.5, flag


def test_too_few_people_are_reported() -> None:
    with pytest.raises(InputError, match="too few"):
        ConversationMaker([person(k) for k in range(MOST_PEOPLE - 1)], encode, seed=0)


@pytest.mark.parametrize("later", [0, 4])
def test_cosines_are_of_the_newest_pair_that_is_known(later: int) -> None:
    faces, audio = codes(1, 2 * TICKS).reshape(2, TICKS, SIZE), codes(2, TICKS)
    found = np.ones((2, TICKS), np.bool_)
    found[1, 100:120] = False
    cosines, known = lag_cosines(faces, found, audio, later)
    for lag in (-15, -1, 0, 3, 4, 9, 15):
        k, tick = lag - LAGS[0], 110
        frame = tick - max(0, lag - later)
        assert cosines[0, k, tick] == pytest.approx(float(faces[0, frame] @ audio[frame + lag]), abs=1e-5)
        assert known[0, k, tick] and known[1, k, tick] == found[1, frame]
    assert not known[:, 0, :15].any(), "before the audio began nothing is known"
