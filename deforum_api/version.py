"""The version of the extension."""

VERSION = "6.5.0"
