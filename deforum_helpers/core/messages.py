"""Messages for users: each has a stable code and is declared once, in the `messages` module of its package.

At the end of this module are the messages of `deforum_helpers.core` itself.
"""

from __future__ import annotations

from dataclasses import dataclass


class Text(str):
    """The text of a message, with its code.

    >>> Text("The disk is full.", "disk_full").at("frame 3").code
    'disk_full'
    """

    code: str

    def __new__(cls, text: str, code: str = "") -> Text:
        """Make `text` a message; `code` is "" for text without a declaration."""
        message = super().__new__(cls, text)
        message.code = code
        return message

    def at(self, place: str) -> Text:
        """Return the message with a place in front of it, as in "zoom, column 3: ..."."""
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


# The job, the machine
CANCELLED = Message("cancelled", "The job was cancelled.")
PARKED = Message("parked", "The job was parked and can be resumed.")
NO_RESOURCES = Message(
    "no_resources", "{failure}: the system has no more {resource}; close other programs or raise its limit."
)
PACKAGE_MISSING = Message(
    "package_missing",
    "{feature} needs the package {package!r}, which cannot be imported ({reason}); install it with: {install}",
)
UNKNOWN_CHOICE = Message("unknown_choice", "Unknown {kind} {name!r}; expected one of: {allowed}.")

# JSON: clauses that continue the name of a setting or a file
JSON_TOO_LONG = Message("json_too_long", "is longer than {limit:.3g} MB")
JSON_TOO_DEEP = Message("json_too_deep", "nests deeper than {limit} levels")
JSON_TOO_LARGE = Message("json_too_large", "has more than {limit:,} values")
JSON_NUMBER_TOO_LONG = Message("json_number_too_long", "contains a number of more than {limit} digits")

# Work that is spread over several workers
CHILD_ENDED = Message("child_ended", "Its process ended with code {code}.")
PIECE_FAILED = Message("piece_failed", "A worker failed unexpectedly ({kind}); the log has the details.")
PIECE_WORKERS_GONE = Message(
    "piece_workers_gone", "No worker is left for the images; the log has the details."
)
PIECE_WORKERS_LOST = Message(
    "piece_workers_lost", "{times} workers in a row ended at the same images; the log has the details."
)
