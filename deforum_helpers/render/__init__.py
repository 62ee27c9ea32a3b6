"""From settings to frames: the plan, the stages, the render loop and its resume states."""
