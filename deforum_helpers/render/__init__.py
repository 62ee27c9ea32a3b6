"""From settings to frames: the plan, the step, the loop and its checkpoint."""
