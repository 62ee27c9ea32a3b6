"""The diffusion engine: Stable Diffusion 1.x, 2.x, XL, 3 and Flux on diffusers."""

NAME = "diffusers"
