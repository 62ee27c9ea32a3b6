"""Messages of the MCP server."""

from __future__ import annotations

from deforum_helpers.core.messages import Message

PORT_UNUSABLE = Message(
    "port_unusable", "Port {port} cannot be used ({reason}); choose another with --port N."
)
FRAME_UNREADABLE = Message("frame_unreadable", "The server sent a frame that cannot be read ({error}).")
