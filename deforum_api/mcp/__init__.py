"""An MCP server: assistants describe, check, render and view videos through a Deforum server.

It is a client of that server's HTTP API, so it needs neither torch nor the server's environment.
"""
