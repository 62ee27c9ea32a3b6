"""What comes from outside: videos taken apart into frames, files fetched from addresses."""
