"""ControlNet units: preprocessors that make control images, and the files of ControlNet models."""
