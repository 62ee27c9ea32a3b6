"""What a run leaves on disk: frames, films, subtitles, settings and the manifest that lists them."""
