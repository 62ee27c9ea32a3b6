"""An MCP server: assistants describe, check, render and look at films through a Deforum server.

It speaks HTTP to that server as any other client, so it needs neither torch nor the server's environment.
"""
