"""The commands of the program that need no server."""
