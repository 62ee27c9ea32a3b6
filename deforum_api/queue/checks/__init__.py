"""Checks of submitted settings, in processes of limited number, time and memory."""
