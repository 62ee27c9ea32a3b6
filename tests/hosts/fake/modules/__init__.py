"""A WebUI host as far as an extension meets it: same names, same order of events, same traps; no model."""
