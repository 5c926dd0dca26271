"""``python -m speakerlight``, and the console script ``speakerlight``: the command line."""

from typing import NoReturn

from speakerlight import early_interrupt


def program() -> NoReturn:
    """Run the command line, with Ctrl-C answered from the first import on."""
    early_interrupt.install()
    from speakerlight.command_line import command

    command()


if __name__ == "__main__":
    program()
