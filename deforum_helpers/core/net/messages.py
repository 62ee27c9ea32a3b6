"""Messages about files at http(s) addresses."""

from __future__ import annotations

from deforum_helpers.core.messages import Message

NOT_FETCHED = Message(
    "address_not_fetched",
    "{setting} names the address {address}, but {reason}; use another address or a local file.",
)

# Reasons: clauses of the message above
TOO_MANY_REDIRECTS = Message("too_many_redirects", "it redirects too often")
TOO_SLOW = Message("fetch_too_slow", "fetching it takes too long")
UNKNOWN_HOST = Message("unknown_host", "its host is unknown")
PRIVATE_HOST = Message("private_host", "its host is not on the public network")
BAD_STATUS = Message("fetch_bad_status", "the server responds with status {status}")
WRONG_TYPE = Message("fetch_wrong_type", "its content type is {found!r}, not {kind}")
COMPRESSED = Message("fetch_compressed", "the server compresses its response")
TOO_LARGE = Message("fetch_too_large", "the file is larger than {limit:g} MB")
CUT_SHORT = Message("fetch_cut_short", "the connection ended early")
EMPTY = Message("fetch_empty", "the file is empty")
INVALID_ADDRESS = Message("invalid_address", "it is not a valid address")
WRONG_SCHEME = Message("wrong_scheme", "only http and https addresses can be fetched")
ADDRESS_WITH_LOGIN = Message("address_with_login", "addresses with a user name or password are refused")
NO_HOST = Message("no_host", "it has no host name")
BAD_CERTIFICATE = Message("bad_certificate", "the server's certificate is invalid")
RESOURCE_EXHAUSTED = Message("fetch_resource_exhausted", "the system has no more {resource}")
TEMPORARY_DISK_FULL = Message("temporary_disk_full", "the disk for temporary files is full")
UNREACHABLE = Message("unreachable", "the server cannot be reached or does not speak http")
