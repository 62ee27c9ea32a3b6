"""Models other than the diffusion model: depth, flow, interpolation, upscaling, segmentation."""
