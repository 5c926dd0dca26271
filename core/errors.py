"""The one error that is the user's to mend."""


class InputError(Exception):
    """Something the user gave cannot be used. The message is one line that says what is wrong and what to do."""
