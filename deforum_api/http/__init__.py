"""HTTP: the app, routing, security and the routes."""
