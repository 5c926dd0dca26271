"""InputError: the error that the user can correct."""


class InputError(Exception):
    """Invalid input of the user. The message is one line: what is wrong and what to do."""
