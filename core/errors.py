"""InputError: the error that the user can correct."""


class InputError(Exception):
    """Something the user gave cannot be used. The message is one line: what is wrong and what to do."""
