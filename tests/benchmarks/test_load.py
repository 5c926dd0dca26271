"""The load test: its recordings, its clients, and its simulation."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path

import numpy as np
import pytest
import torch

from speakerlight.server.rtc.peer import PACKET_MS
from tests.benchmarks import gpu
from tests.benchmarks.__main__ import main
from tests.benchmarks.load import Step, service
from tests.benchmarks.load_client import Replay, Room
from tests.benchmarks.load_recording import KEY_FRAME_TICKS, Encoded, Recording, demo_recording, read
from tests.benchmarks.load_simulation import Costs, Measured, fleet, places_for, predicted_p95, refused, rooms_a_host
from tests.benchmarks.measure import Row, exactly

TIMES = Measured(room_cores=0.2, fixed_cores=0.02, delay_seconds=0.2)


@pytest.fixture(scope="module")
def recording(tmp_path_factory: pytest.TempPathFactory) -> Recording:
    path = tmp_path_factory.mktemp("recording") / "demo.mkv"
    return read(demo_recording(path, 5, 4.0, (320, 180)))


def test_a_recording_is_complete_and_in_order(recording: Recording) -> None:
    assert recording.seconds == 4.0 and recording.size == (320, 180) and len(recording.tiles) == 2
    assert len(recording.video) == 100 and 95 <= len(recording.audio) <= 102
    for packets in (recording.video, recording.audio):
        times = [packet.seconds for packet in packets]
        assert times == sorted(times) and times[0] < 0.05
    gaps = np.diff([packet.seconds for packet in recording.audio])
    assert float(np.median(gaps)) == pytest.approx(PACKET_MS / 1000)
    # RFC 6386, section 9.1: the lowest bit of a VP8 key frame is 0.
    keys = [index for index, packet in enumerate(recording.video) if not packet.data[0] & 1]
    assert keys[0] == 0 and max(np.diff([*keys, 100])) <= KEY_FRAME_TICKS


def test_a_replay_repeats_with_rising_timestamps() -> None:
    packets = (Encoded(0.0, b"a"), Encoded(0.04, b"b"))

    async def play() -> list[int]:
        track = Replay("video", packets, 0.08, begun=-1e9)
        return [(await track.recv()).pts for _ in range(5)]

    assert asyncio.run(play()) == [0, 3600, 7200, 10800, 14400]


def test_delay_and_identity_are_on_the_recordings_own_time(recording: Recording) -> None:
    """Session time runs 100 s behind the clock; every event comes 0.25 s after its frame."""
    turn = recording.turns[0]
    tile = recording.tiles[turn.tile or 0]
    begun, moments = 1000.0, np.arange(turn.start + 0.6, turn.end - 0.1, 0.04).tolist()

    async def reported(box: list[float]) -> dict[str, object]:
        room = Room("http://127.0.0.1:1", recording, 0)
        room._begun = begun
        pong = {"type": "pong", "sent": begun, "time": begun - 100.0}
        speaker = {"type": "speaker", "time": 0.0, "state": "speaking", "id": 7}
        room.received = [
            (begun, json.dumps(pong)),
            (begun, json.dumps({"type": "picture", "width": 320})),
            (begun, json.dumps(speaker)),
        ]
        for moment in moments:
            event = {"type": "scores", "time": begun - 100.0 + moment, "faces": [{"id": 7, "box": box}]}
            room.received.append((begun + moment + 0.25, json.dumps(event)))
        report = room.report(begun, begun + 100.0)
        await room.close()
        return report

    right = asyncio.run(reported([tile.x + 10, tile.y + 10, 20.0, 20.0]))
    assert right["identity"] == 1.0 and np.allclose(right["delays"], 0.25)  # type: ignore[arg-type]
    assert asyncio.run(reported([-50.0, 0.0, 10.0, 10.0]))["identity"] == 0.0


def test_a_room_costs_the_slope_of_processor_time() -> None:
    steps = [Step(1, rooms, ((0.2,),), (1.0,), 0.1 + 0.2 * rooms, 0.0, 0, 0.1) for rooms in (1, 2, 3)]
    times = service([*steps, Step(1, 4, ((0.9,),), (1.0,), 5.0, 0.0, 4, 0.1)])
    assert times is not None
    assert times.room_cores == pytest.approx(0.2)
    assert times.fixed_cores == pytest.approx(0.1)
    assert service([Step(1, 1, ((0.9,),), (1.0,), 0.1, 0.0, 4, 0.1)]) is None, "work that was shed costs nothing"


def test_more_rooms_wait_longer_and_more_cores_shorter() -> None:
    one, four = (predicted_p95(TIMES, rooms, 1, 10) for rooms in (1, 4))
    assert 0.2 <= one < four
    assert predicted_p95(TIMES, 6, 1, 10) > 1.0, "beyond one core, the queue grows"
    assert 4 <= rooms_a_host(TIMES, 1) <= 5 and rooms_a_host(TIMES, 2) > rooms_a_host(TIMES, 1)


def test_erlangs_loss_formula() -> None:
    """Two servers and two in the mean: 2²/2! over 1 + 2 + 2²/2!."""
    assert refused(2.0, 2) == pytest.approx(0.4)
    places = places_for(10.0)
    assert refused(10.0, places) <= 0.001 < refused(10.0, places - 1)


def test_a_fleet_names_what_is_nearest_to_its_limit() -> None:
    text = fleet(TIMES, 1000, Costs())
    assert text.startswith("1000 rooms: ") and "nearest to its limit: " in text


def test_without_a_card_gpu_is_one_line(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    assert main(["gpu"]) == 2
    printed = capsys.readouterr()
    assert printed.out == "" and printed.err.splitlines() == [
        "gpu: PyTorch finds no CUDA card here; nothing was measured"
    ]


def test_the_largest_batch_is_the_last_one_in_time() -> None:
    assert gpu.largest_batch(lambda count: count / 10, limit_ms=40.0) == 256
    assert gpu.largest_batch(lambda _: 1.0, most=64) == 64
    assert gpu.largest_batch(lambda _: 50.0) == 0


def test_gpu_prints_the_readmes_open_rows() -> None:
    rows = [
        Row("gpu", measure, "expert", 0, exactly(value), "")
        for measure, value in (("share of the matrix rate", 0.314), ("faces at 25 a second", 2345.6))
    ]
    lines = gpu.readme_rows(rows)
    assert lines[0].endswith("| ≥ 0.2 | `B gpu` | 0.31 |") and lines[1].endswith("| 2,000 | `B gpu` | 2,346 |")
    measures = [text.split("|")[1].strip() for text in lines]
    readme = (Path(__file__).parent / "README.md").read_text()
    assert all(f"| {measure} |" in readme for measure in measures)
