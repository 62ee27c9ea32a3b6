"""Optical flow: estimators behind one Protocol, warping by a flow, and motion as a matrix."""
