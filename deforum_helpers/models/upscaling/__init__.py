"""Upscaling: Real-ESRGAN networks and Lanczos, behind one Protocol."""
