"""The diffusion engine: Stable Diffusion 1.x, 2.x, XL, 3, Flux.1 and newer flow models on diffusers."""

NAME = "diffusers"
