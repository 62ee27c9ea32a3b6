"""From submitted settings to finished files; called by the tab, the API and the command line."""
