"""Messages for users: each has a stable code and is declared once, in the `messages` module of its package."""

from __future__ import annotations

from dataclasses import dataclass


class Text(str):
    """A message as a user reads it: plain text that knows its code.

    >>> Text("The disk is full.", "disk_full").at("frame 3").code
    'disk_full'
    """

    code: str

    def __new__(cls, text: str, code: str = "") -> Text:
        """Make `text` a message; `code` is "" for text from elsewhere."""
        message = super().__new__(cls, text)
        message.code = code
        return message

    def at(self, place: str) -> Text:
        """Return the message with the place that it is about in front, as in "zoom, column 3: ..."."""
        return Text(f"{place}: {self}", self.code)


@dataclass(frozen=True)
class Message:
    """The declaration of a message.

    Args:
        code: a name that never changes; programs and tests recognize the message by it.
        template: English text for `str.format`, with a name in each pair of braces.
    """

    code: str
    template: str

    def __call__(self, **values: object) -> Text:
        """Return the text with a value for each name of the template.

        >>> Message("too_long", "{setting} is longer than {most} characters.")(setting="zoom", most=10)
        'zoom is longer than 10 characters.'
        """
        return Text(self.template.format(**values), self.code)


def code_of(text: str) -> str:
    """Return the code of a message, "" for text without one."""
    return text.code if isinstance(text, Text) else ""
