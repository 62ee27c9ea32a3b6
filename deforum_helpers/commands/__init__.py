"""The commands of `python -m deforum_helpers`."""
