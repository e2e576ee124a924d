"""Key storage plugins: where a runner's keys are read."""
