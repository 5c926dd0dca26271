"""Command line: arguments to settings, a run, and its exit status."""

from __future__ import annotations

import argparse
import atexit
import logging
import os
import signal
import sys
import threading
from contextlib import suppress
from pathlib import Path
from typing import NoReturn

import speakerlight
from speakerlight import early_interrupt
from speakerlight.caller_environment import has_temporary_files, memory_note, open_standard_streams
from speakerlight.core.decision.director import Preset
from speakerlight.core.errors import InputError
from speakerlight.core.framing import View
from speakerlight.log_setup import set_up_logging
from speakerlight.model_future import LOADING
from speakerlight.printable import printable, printable_lines
from speakerlight.redaction import redacted
from speakerlight.run_settings import DEVICES, RunSettings
from speakerlight.server.options import add_serve_options, ice_settings, serve_settings

logger = logging.getLogger(__name__)

PEOPLE_OFF = "off"

FOLDER_GONE = "the current folder was deleted: change to one that exists (cd), and run again"

EPILOG = """\
%(prog)s join WORDS.json SESSION.json: who said what, from timed words of speech-to-text and a session of --export
%(prog)s drain HOST: a host of --cluster takes no new rooms, and its pages move to others

keys in the window: ? shows them all; q quit, h hide the marks, 1-9 pick a person, p pin that person or let go
"""


class _Parser(argparse.ArgumentParser):
    def error(self, message: str) -> NoReturn:
        if message.endswith("expected one argument"):  # argparse takes what begins with - for an option
            message += "; a value that begins with - is written --option=-value"
        raise InputError(f"{message} (--help lists everything)")


def program_name() -> str:
    """The name by which this program was started; its installed name where another program calls it."""
    spec = getattr(sys.modules["__main__"], "__spec__", None)
    if spec is not None and spec.name == "speakerlight.__main__":
        return "python -m speakerlight"
    return "run_live.py" if Path(sys.argv[0]).name == "run_live.py" else "speakerlight"


def parser() -> argparse.ArgumentParser:
    """The argument parser. It raises InputError instead of exiting on wrong arguments."""
    made = _Parser(
        prog=program_name(),
        description="Marks who is speaking, live, from lips and audio together.",
        epilog=EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
        allow_abbrev=False,
    )
    add = made.add_argument
    add(
        "--video",
        metavar="SRC",
        type=_name,
        help="camera index (0), file, URL, screen[:X,Y,W,H] or demo[:people=N,seed=K]",
    )
    add(
        "--audio",
        metavar="SRC",
        type=_name,
        help="microphone's name or index, file, URL or none; default: the video's own audio",
    )
    add("--audio-track", metavar="N", type=int, help="the N-th audio track; default: the one with a voice")
    add("--audio-channel", metavar="N", type=int, help="the N-th channel alone; default: all that carry something")
    add(
        "--model", metavar="NAME|PATH", type=_name, default="compact", help="compact, or the path of lipsync_expert.pth"
    )
    add("--device", choices=DEVICES, default="auto", help="where the model runs")
    add("--fast", action="store_true", help="files and demo: as fast as possible instead of in real time")
    add("--duration", metavar="S", type=float, help="end after so many seconds")
    add("--no-window", action="store_true", help="show nothing")
    views = [view.value for view in View]
    add("--view", choices=views, default=RunSettings.view.value, help="the whole frame, the speaker, or both")
    add("--virtual-camera", action="store_true", help="a camera for other programs that shows what the window shows")
    add("--obs", metavar="ws://HOST:PORT", help="switch OBS scenes to the speaker, by obs-websocket 5")
    add("--obs-scenes", metavar="FILE", type=_path, help="JSON: which OBS scene shows whom; see README")
    add(
        "--osc",
        metavar="HOST:PORT",
        help="OSC messages for mixers and lights: /speakerlight/speaker STATE ID NAME, /speakerlight/shot KIND ID NAME"
        " at a cut, /speakerlight/candidate KIND ID SECONDS before it",
    )
    presets = [preset.value for preset in Preset]
    add(
        "--director", choices=presets, default=RunSettings.director.value, help="how lively --view, --obs and --osc cut"
    )
    add("--output", metavar="FILE.mp4", type=_path, help="record what the window shows, with audio")
    add("--events", metavar="FILE|-", type=_name, help="events as JSON Lines; - is standard output")
    add("--rttm", metavar="FILE", type=_path, help="who spoke when, for diarization scorers")
    export_help = "who spoke when; .json, .csv, .vtt, .srt or .txt by the suffix; may be given several times"
    add("--export", metavar="FILE", type=_path, action="append", default=[], help=export_help)
    add("--plot", metavar="FILE.png", type=_path, help="every face's score over time")
    add("--save-faces", metavar="DIR", type=_path, help="a video with audio of each face")
    add("--lag", metavar="auto|MS", type=_lag, help="milliseconds by which the audio is late; auto: estimated")
    add("--max-faces", metavar="N", type=int, default=RunSettings.max_faces, help="follow no more faces than this")
    add(
        "--people",
        metavar="off|FILE",
        type=_name,
        help="off: do not recognize who comes back; FILE: remember who was named, across runs (names and embeddings)",
    )
    add("--people-forget", metavar="NAME", help="delete a person from the file of --people, and end")
    add_serve_options(made)
    add("--list-devices", action="store_true", help="list cameras and microphones")
    add("--doctor", action="store_true", help="check this machine: one page, to paste into a bug report")
    add("--version", action="version", version=f"speakerlight {speakerlight.__version__}", help="print the version")
    add("-v", "--verbose", action="count", default=0, help="log what happens; twice: everything, with tracebacks")
    return made


def main(arguments: list[str] | None = None) -> int:
    """Run the command line and return the exit status.

    0: normal end, with every output whole. 1: an output was lost or a stage failed. 2: wrong arguments or missing
    input, reported in one line on stderr.
    """
    arguments = sys.argv[1:] if arguments is None else arguments
    try:
        if arguments[:1] == ["join"]:
            from speakerlight.join_command import main as join

            return join(arguments[1:], f"{program_name()} join")
        if arguments[:1] == ["drain"]:
            from speakerlight.cluster.drain_command import main as drain

            return drain(arguments[1:], f"{program_name()} drain")
        given = parser().parse_args(arguments)
        set_up_logging(given.verbose)
        if given.list_devices:
            from speakerlight.devices import list_devices

            print(list_devices())
        elif given.people_forget is not None:
            _forget(given.people, given.people_forget)
        elif given.doctor:
            from speakerlight.doctor import doctor

            page, is_ready = doctor(ice_settings(given))
            print(page)
            return 0 if is_ready else 1
        else:
            settings = _settings(given)
            from speakerlight.session import run

            run(settings, notify=_notify)
    except InputError as error:
        logger.debug("refused", exc_info=True)
        _notify(f"{program_name()}: {printable(str(error))}{memory_note() if error.__cause__ else ''}")
        return 2
    except KeyboardInterrupt:
        return 0
    except FileNotFoundError as error:
        logger.debug("failed", exc_info=True)
        is_folder_gone = not _has_current_folder()
        _notify(f"{program_name()}: {FOLDER_GONE if is_folder_gone else printable(str(error))}")
        return 2 if is_folder_gone else 1
    except Exception as error:
        logger.debug("failed", exc_info=True)
        _notify(f"{program_name()}: {printable(str(error)) or type(error).__name__}{memory_note()}")
        return 1
    return 0


def command() -> NoReturn:
    """Run :func:`main` as a program, which exits at once: unloading torch and others would take up to a second."""
    early_interrupt.remove()
    open_standard_streams()
    status = 0
    with suppress(KeyboardInterrupt):  # another Ctrl-C while the first was being answered
        status = main()
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    is_download_abandoned = any(thread.name == LOADING for thread in threading.enumerate())
    if is_download_abandoned or has_temporary_files():
        atexit._run_exitfuncs()  # they remove temporary files
    for stream in (sys.stdout, sys.stderr):
        with suppress(OSError):  # its reader has gone
            stream.flush()
    os._exit(status)


def _settings(given: argparse.Namespace) -> RunSettings:
    return RunSettings(
        video=given.video,
        audio=given.audio,
        audio_track=given.audio_track,
        audio_channel=given.audio_channel,
        model=given.model,
        device=given.device,
        fast=given.fast,
        duration_seconds=given.duration,
        window=not given.no_window,
        output=given.output,
        events=given.events,
        rttm=given.rttm,
        plot=given.plot,
        exports=tuple(given.export),
        save_faces=given.save_faces,
        lag_ms=given.lag,
        max_faces=given.max_faces,
        people=given.people != PEOPLE_OFF,
        people_file=_people_file(given.people),
        view=View(given.view),
        virtual_camera=given.virtual_camera,
        obs=given.obs,
        obs_scenes=given.obs_scenes,
        osc=given.osc,
        director=Preset(given.director),
        serve=serve_settings(given, _notify),
    )


def _has_current_folder() -> bool:
    try:
        Path.cwd()
    except FileNotFoundError:
        return False
    return True


def _people_file(given: str | None) -> Path | None:
    return None if given is None or given == PEOPLE_OFF else Path(given)


def _forget(people: str | None, name: str) -> None:
    from speakerlight.people_file import PeopleFile

    path = _people_file(people)
    if path is None:
        raise InputError("--people-forget: name the file with --people FILE, too")
    PeopleFile(path).forget(name)
    _notify(f"{path} knows {name} no more")


def _name(text: str) -> str:
    """The name of a source or file. A ``~`` that the shell left, as after ``=``, is the home folder."""
    if not text:
        raise argparse.ArgumentTypeError("the name is empty: perhaps that of a variable that is not set")
    is_home = text.startswith("~") and not Path(text.partition("/")[0]).exists()
    return os.path.expanduser(text) if is_home else text  # noqa: PTH111  # Path.expanduser fails without a home


def _path(text: str) -> Path:
    return Path(_name(text))


def _lag(text: str) -> float | None:
    if text == "auto":
        return None
    try:
        return float(text)
    except ValueError:
        raise argparse.ArgumentTypeError(f"give auto or milliseconds, not {text}") from None


def _notify(line: str) -> None:
    with suppress(OSError):  # the terminal was closed, or the pipe's reader left: the outputs go on
        print(printable_lines(redacted(line)), file=sys.stderr, flush=True)
