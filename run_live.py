"""``python run_live.py``: the same program as ``python -m speakerlight``."""

from speakerlight.__main__ import program

if __name__ == "__main__":
    program()
