"""Inside a WebUI: draws with its model, between its users' own pictures; the only place that imports its `modules`."""
