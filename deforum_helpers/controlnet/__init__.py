"""What ControlNet units see: preprocessors that make control pictures, and where their models lie."""
