"""Tools for existing videos and images: interpolation, upscaling, depth videos, image sequences to videos."""
