"""The adapter to a WebUI: its model as an engine, its options and its reloads. Only this package imports `modules`."""
