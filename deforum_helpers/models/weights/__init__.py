"""Files of models: locations, headers, kinds of checkpoints, and networks in ncnn's format."""
