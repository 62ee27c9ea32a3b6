"""The outputs of a run: frames, videos, subtitles, settings, and the manifest that lists them."""
