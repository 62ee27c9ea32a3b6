"""Input videos and image sequences: inspection, decoding, extraction of frames; running ffmpeg."""
