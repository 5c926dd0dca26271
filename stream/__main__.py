"""``python -m speakerlight``: the command line."""

from speakerlight.command_line import command

if __name__ == "__main__":
    command()
