from __future__ import annotations

from itertools import pairwise

import numpy as np
import pytest

from speakerlight.core.demo.articulation import CONTROL_RATE, Lips
from speakerlight.core.demo.gallery import ROOM_NOISE, Demo, DemoSettings, lay_out
from speakerlight.core.demo.script import Activity
from speakerlight.core.errors import InputError
from speakerlight.core.media import AudioChunk, Frame
from speakerlight.core.timebase import SAMPLE_RATE

OPENING = Lips._fields.index("opening")
SMALL = {"width": 320, "height": 180}


def test_any_moment_is_the_same_whenever_and_in_whatever_order_it_is_asked_for() -> None:
    forth, back = Demo(DemoSettings(people=2, seed=3, **SMALL)), Demo(DemoSettings(people=2, seed=3, **SMALL))
    indices = [0, 40, 200, 41]
    frames = {index: forth.frame(index) for index in indices}
    for index in reversed(indices):
        assert np.array_equal(frames[index], back.frame(index))
    whole = forth.audio(0, 6 * SAMPLE_RATE)
    pieces = [back.audio(start, 1234) for start in range(5 * SAMPLE_RATE, 6 * SAMPLE_RATE - 1234, 1234)]
    assert np.array_equal(np.concatenate(pieces), whole[5 * SAMPLE_RATE :][: 1234 * len(pieces)])


def test_the_voice_sounds_in_the_turns_and_only_there() -> None:
    demo = Demo(DemoSettings(people=3, seed=1, seconds=20, **SMALL))
    audio, inside = demo.audio(0, 20 * SAMPLE_RATE), np.zeros(20 * SAMPLE_RATE, bool)
    for turn in demo.turns(0, 20):
        inside[round(turn.start * SAMPLE_RATE) : round(turn.end * SAMPLE_RATE)] = True
    assert audio[inside].std() > 0.05
    assert audio[~inside].std() == pytest.approx(ROOM_NOISE, rel=0.05)


def test_turns_follow_each_other_with_gaps_and_stay_within_the_demo() -> None:
    turns = Demo(DemoSettings(people=4, seed=2, seconds=55, **SMALL)).truth(55).turns
    assert turns[-1].end <= 55 and len({turn.tile for turn in turns} - {None}) == 4
    assert all(2 <= turn.end - turn.start <= 5.04 for turn in turns[:-1])
    gaps = [later.start - earlier.end for earlier, later in pairwise(turns)]
    assert all(0.26 <= gap <= 1.24 for gap in gaps)


def test_every_minute_has_a_turn_of_the_stranger_and_none_in_the_first_20_seconds() -> None:
    for seed in range(8):
        demo = Demo(DemoSettings(people=4, seed=seed, seconds=None, **SMALL))
        for minute in (0, 3):
            turns = [turn for turn in demo.turns(60.0 * minute, 60.0 * minute + 59.9) if turn.tile is None]
            assert turns and all(turn.start % 60 > 20 for turn in turns)


def test_everybody_in_view_speaks_before_anybody_speaks_twice() -> None:
    for seed in range(8):
        turns = [turn.tile for turn in Demo(DemoSettings(people=4, seed=seed, **SMALL)).truth(20).turns]
        assert len(set(turns[:4])) == len(turns[:4])


def test_mouthing_people_say_other_syllables_than_the_speaker() -> None:
    """No shift within ±300 ms brings a mouthing person's lips to the speaker's: own lips would correlate fully."""
    demo = Demo(DemoSettings(people=4, seed=0, seconds=None, **SMALL))
    compared = 0
    for turn in demo.turns(0, 120):
        spoken = demo._speech(turn).lips[:, OPENING]
        for person in set(range(4)) - {turn.tile}:
            span = demo._span(person, turn.start + 0.5)
            if span.activity is Activity.MOUTHING and span.start >= turn.start - 0.3 and turn.end - span.start > 1.5:
                lips = demo._lips(person, span)[:, OPENING]
                offset = round((span.start - turn.start) * CONTROL_RATE)
                for shift in range(-60, 61, 4):
                    first = max(0, offset + shift)
                    length = min(len(spoken) - first, len(lips) - (first - offset - shift))
                    mine = lips[first - offset - shift :][:length]
                    assert np.corrcoef(spoken[first : first + length], mine)[0, 1] < 0.75
                compared += 1
    assert compared >= 5


def test_lips_of_the_speaker_follow_the_audio() -> None:
    """The mouth's distance from rest fits the voice's loudness below 1 kHz best unshifted, of shifts to ±320 ms."""
    demo = Demo(DemoSettings(people=1, seed=4, seconds=60, width=256, height=256))
    fits = np.zeros(17)
    for turn in demo.turns(0, 60):
        if turn.tile is None:
            continue
        first, count = round(turn.start * 25), round((turn.end - turn.start) * 25)
        mouths = np.stack([demo.frame(first + k)[152:200, 96:160] for k in range(count)]).astype(float)
        moved = np.abs(mouths - mouths[0]).mean(axis=(1, 2, 3))
        spectrum = np.abs(np.fft.rfft(demo.audio(first * 640 - 320, count * 640).reshape(count, 640), axis=1))
        loud = np.sqrt((spectrum[:, 8:44] ** 2).sum(axis=1))
        for k, shift in enumerate(range(-8, 9)):
            middle = slice(8, count - 8)
            fits[k] += np.corrcoef(moved[middle], np.roll(loud, shift)[middle])[0, 1]
    assert abs(int(np.argmax(fits)) - 8) <= 1


def test_playing_gives_all_frames_and_gapless_audio_in_order() -> None:
    media = list(Demo(DemoSettings(people=1, seconds=1.5, rate=30, **SMALL)).play())
    frames, chunks = [m for m in media if isinstance(m, Frame)], [m for m in media if isinstance(m, AudioChunk)]
    assert len(frames) == 45 and frames[1].time == pytest.approx(1 / 30)
    assert sum(len(s.samples) for s in chunks) == 1.5 * SAMPLE_RATE
    due = [m.time if isinstance(m, Frame) else m.time + len(m.samples) / SAMPLE_RATE for m in media]
    assert due == sorted(due)


def test_an_endless_demo_can_be_entered_hours_later() -> None:
    demo = Demo(DemoSettings(people=2, seconds=None, **SMALL))
    late = 5 * 3600
    assert demo.frame(late * 25).shape == (180, 320, 3)
    assert any(demo.audio((late + k) * SAMPLE_RATE, SAMPLE_RATE).std() > 0.02 for k in range(5))


@pytest.mark.parametrize(
    ("people", "width", "height"), [(1, 1280, 720), (3, 1280, 720), (9, 640, 360), (25, 1920, 1080)]
)
def test_tiles_lie_apart_and_inside_the_frame(people: int, width: int, height: int) -> None:
    tiles = lay_out(people, width, height)
    covered = np.zeros((height, width), int)
    for tile in tiles:
        assert tile.x >= 0 and tile.y >= 0 and tile.x + tile.width <= width and tile.y + tile.height <= height
        covered[int(tile.y) : int(tile.y + tile.height), int(tile.x) : int(tile.x + tile.width)] += 1
    assert len(tiles) == people and covered.max() == 1 and covered.mean() > 0.5


def test_the_frame_is_larger_for_many_people() -> None:
    assert DemoSettings(people=9).size == (1280, 720)
    assert DemoSettings(people=25).size == (1920, 1080)


@pytest.mark.parametrize(
    "wrong",
    [
        {"people": 0},
        {"people": 26},
        {"seed": -1},
        {"seconds": 0.0},
        {"rate": 0.0},
        {"people": 25, "width": 100, "height": 80},
    ],
)
def test_what_cannot_be_shown_is_refused_in_one_line(wrong: dict[str, float]) -> None:
    with pytest.raises(InputError, match="demo"):
        DemoSettings(**wrong)  # type: ignore[arg-type]
