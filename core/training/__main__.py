"""``python -m speakerlight.core.training``: train the compact model, evaluate it, export its weights.

    python -m speakerlight.core.training train --clips DIR --run DIR [--steps N] [--align FILE] [--start FILE]
    python -m speakerlight.core.training evaluate --weights FILE --clips DIR [--groups FILE]
    python -m speakerlight.core.training decision --clips DIR [--like expert] [--output FILE]
    python -m speakerlight.core.training voices --clips DIR --encoder FILE [--output FILE]
    python -m speakerlight.core.training speech --clips DIR [--output FILE]
    python -m speakerlight.core.training export --run DIR [DIR ...] --output FILE --card KEY=VALUE ...

``decision`` fits the decision weights on conversations made of the training clips, to be repeated whenever the network
changes; ``--like expert`` fits those of Wav2Lip's expert without its weights, on conversations with its statistics.

``voices`` fits the voice model on the training clips' voices, to be repeated whenever the voice encoder changes.

``speech`` fits the speech head on the training clips in noise, to be repeated whenever the network changes.

``train`` resumes a run that was stopped. ``--align`` corrects the lag of clips that earlier weights find out of sync;
``--start`` continues from earlier weights. ``--clips`` of ``train`` holds one folder for each source (people, single,
generated, …); of ``evaluate``, clips of people who were not trained on. ``--groups`` adds results for each group of
people: a CSV file with the columns file, person and groups (separated by spaces). ``export`` takes the mean of several
runs' weights, each of which continued from the one before.
"""

from __future__ import annotations

import argparse
import json
import logging
import sys
from collections.abc import Collection, Sequence
from pathlib import Path

import numpy as np
import torch

from speakerlight.core.decision.weights import FALLBACK, FOLDER, decision_arrays
from speakerlight.core.errors import InputError
from speakerlight.core.faces.detection import FaceDetector
from speakerlight.core.models.compact import WEIGHTS_FILE
from speakerlight.core.models.compact_network import CompactSyncNet, load_network
from speakerlight.core.models.speech_head import speech_head_file, speech_head_for
from speakerlight.core.people.voice_encoder import VoiceEncoder
from speakerlight.core.people.voice_model import VOICE_MODEL
from speakerlight.core.training.alignment import aligned
from speakerlight.core.training.conversations import SOURCE_WEIGHTS as CONVERSATION_SOURCES
from speakerlight.core.training.conversations import ConversationMaker, audio_encoder, embedded_people
from speakerlight.core.training.dataset import SOURCE_WEIGHTS, demo_examples, load_examples, split_by_person
from speakerlight.core.training.decision import FitSettings, expert_like, learn
from speakerlight.core.training.evaluation import read_labels, report, report_by_group
from speakerlight.core.training.export import export
from speakerlight.core.training.loop import Trainer, TrainingSettings
from speakerlight.core.training.speech import SOURCES as SPEECH_SOURCES
from speakerlight.core.training.speech import fit_head, head_examples
from speakerlight.core.training.voices import SOURCES as VOICE_SOURCES
from speakerlight.core.training.voices import embedded_voices, fitted, save_voice_model


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    commands = parser.add_subparsers(dest="command", required=True)
    train = commands.add_parser("train")
    train.add_argument("--clips", type=Path, required=True)
    train.add_argument("--run", type=Path, required=True)
    train.add_argument("--steps", type=int, default=TrainingSettings.steps)
    train.add_argument("--seed", type=int, default=TrainingSettings.seed)
    train.add_argument("--align", type=Path, metavar="WEIGHTS", help="weights that find which clips are out of sync")
    train.add_argument("--start", type=Path, metavar="WEIGHTS", help="weights to begin with")
    evaluate = commands.add_parser("evaluate")
    evaluate.add_argument("--clips", type=Path, required=True)
    evaluate.add_argument("--weights", type=Path, default=WEIGHTS_FILE)
    evaluate.add_argument("--groups", type=Path, metavar="FILE", help="person and groups of each clip")
    decision = commands.add_parser("decision")
    decision.add_argument("--clips", type=Path, required=True)
    decision.add_argument("--weights", type=Path, default=WEIGHTS_FILE)
    decision.add_argument("--like", choices=(FALLBACK, "expert"), default=FALLBACK)
    decision.add_argument("--output", type=Path, help="default: the shipped file")
    decision.add_argument("--conversations", type=int, default=1500)
    decision.add_argument("--steps", type=int, default=FitSettings.steps)
    decision.add_argument("--start", type=Path, metavar="WEIGHTS", help="decision weights to begin with")
    for command in (train, evaluate, decision):
        command.add_argument("--detector", type=Path, required=True, help="BlazeFace's model file")
        command.add_argument("--cache", type=Path, required=True, help="folder for the crops")
    voices = commands.add_parser("voices")
    voices.add_argument("--clips", type=Path, required=True)
    voices.add_argument("--encoder", type=Path, required=True, help="the voice encoder's file")
    voices.add_argument("--output", type=Path, default=VOICE_MODEL)
    speech = commands.add_parser("speech")
    speech.add_argument("--clips", type=Path, required=True)
    speech.add_argument("--weights", type=Path, default=WEIGHTS_FILE)
    speech.add_argument("--output", type=Path, default=speech_head_file(FALLBACK))
    exporting = commands.add_parser("export")
    exporting.add_argument("--run", type=Path, nargs="+", required=True)
    exporting.add_argument("--output", type=Path, default=WEIGHTS_FILE)
    exporting.add_argument("--card", nargs="*", default=[], metavar="KEY=VALUE")
    arguments = parser.parse_args()
    try:
        by_name = {
            "train": _train,
            "evaluate": _evaluate,
            "decision": _decision,
            "voices": _voices,
            "speech": _speech,
            "export": _export,
        }
        by_name[arguments.command](arguments)
    except InputError as error:
        print(error, file=sys.stderr)
        return 2
    return 0


def _folders(clips: Path, names: Collection[str]) -> list[Path]:
    """Those of ``names`` that are folders of ``clips``. Raises InputError when there is none."""
    folders = [folder for name in names if (folder := clips / name).is_dir()]
    if not folders:
        raise InputError(f"no clips: {clips} has none of the folders {', '.join(names)}")
    return folders


def _train(arguments: argparse.Namespace) -> None:
    folders = _folders(arguments.clips, SOURCE_WEIGHTS)
    # Before the clips, which take minutes to load: a wrong path is reported at once.
    start = load_network(arguments.start)[0] if arguments.start else None
    earlier = load_network(arguments.align)[0].eval() if arguments.align else None
    arguments.cache.mkdir(parents=True, exist_ok=True)
    detector = FaceDetector(arguments.detector)
    examples = load_examples(folders, detector, arguments.cache) + demo_examples(detector)
    train, held_out = split_by_person(examples)
    if earlier is not None:
        train = list(aligned(train, earlier))
    settings = TrainingSettings(steps=arguments.steps, seed=arguments.seed)
    Trainer(settings, train, held_out, arguments.run, start).run()


def _evaluate(arguments: argparse.Namespace) -> None:
    if not arguments.clips.is_dir():
        raise InputError(f"no folder {arguments.clips}: give one that holds clips")
    labels = read_labels(arguments.groups) if arguments.groups else None
    arguments.cache.mkdir(parents=True, exist_ok=True)
    examples = load_examples([arguments.clips], FaceDetector(arguments.detector), arguments.cache)
    if not examples:
        raise InputError(f"no clip in {arguments.clips} shows a face and has audio: give other clips")
    network, card = load_network(arguments.weights)
    results: dict[str, object] = {"card": card, "clips": len(examples), **report(network, examples)}
    if labels is not None:
        results["groups"] = report_by_group(network, examples, labels)
    print(json.dumps(results, indent=1))


def _decision(arguments: argparse.Namespace) -> None:
    folders = _folders(arguments.clips, CONVERSATION_SOURCES)
    logging.basicConfig(level=logging.INFO, format="%(message)s")
    start = decision_arrays(arguments.start) if arguments.start else None
    network = load_network(arguments.weights)[0].eval()
    arguments.cache.mkdir(parents=True, exist_ok=True)
    detector = FaceDetector(arguments.detector)
    examples = load_examples(folders, detector, arguments.cache) + demo_examples(detector)
    people = list(embedded_people(examples, network, np.random.default_rng(0)))
    maker = ConversationMaker(people, audio_encoder(network), seed=1, head=speech_head_for(arguments.like))
    talks = [maker.conversation(number) for number in range(arguments.conversations)]
    if arguments.like == "expert":
        talks = [expert_like(talk, np.random.default_rng((2, k))) for k, talk in enumerate(talks)]
    card = {"people": str(len(people)), "conversations": str(len(talks)), "steps": str(arguments.steps)}
    output = arguments.output or FOLDER / f"{arguments.like}.safetensors"
    learn(talks, output, FitSettings(steps=arguments.steps), card | {"like": arguments.like}, start)


def _voices(arguments: argparse.Namespace) -> None:
    folders = _folders(arguments.clips, VOICE_SOURCES)
    clips = list(embedded_voices(folders, VoiceEncoder(arguments.encoder)))
    card = {"people": str(len({clip.person for clip in clips})), "recordings": str(len(clips))}
    save_voice_model(fitted(clips), arguments.output, card)


def _speech(arguments: argparse.Namespace) -> None:
    folders = _folders(arguments.clips, SPEECH_SOURCES)
    examples = list(head_examples(folders, audio_encoder(load_network(arguments.weights)[0].eval())))
    fit_head(examples, arguments.output, {"recordings": str(len(examples))})


def _export(arguments: argparse.Namespace) -> None:
    if bare := next((pair for pair in arguments.card if "=" not in pair), None):
        raise InputError(f"--card {bare}: write KEY=VALUE")
    export(_mean_of(arguments.run), arguments.output, dict(pair.split("=", 1) for pair in arguments.card))


def _mean_of(runs: Sequence[Path]) -> CompactSyncNet:
    """The mean of the runs' weights, each of which is a running mean. Raises InputError."""
    if bare := next((run for run in runs if not (run / "state.pt").is_file()), None):
        raise InputError(f"no training run in {bare}: it has no state.pt")
    weights = [torch.load(run / "state.pt", weights_only=True)["average"] for run in runs]
    network = CompactSyncNet()
    network.load_state_dict({name: torch.stack([w[name].float() for w in weights]).mean(0) for name in weights[0]})
    return network


if __name__ == "__main__":
    sys.exit(main())
