"""The camera: poses, 2D matrices, projections and shake. Imports without torch."""
