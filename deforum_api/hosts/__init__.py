"""Programs that start the server or join a host: standalone, WebUI, flags, run-now."""
