"""The commands of the program `deforum` that work on this machine."""
