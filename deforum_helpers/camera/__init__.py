"""Where the camera goes: poses, 2D matrices, projection, shake. Imports without torch."""
