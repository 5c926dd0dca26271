"""``python run_live.py``: the same program as ``python -m speakerlight``."""

from speakerlight.command_line import command

if __name__ == "__main__":
    command()
