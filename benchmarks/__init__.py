"""Figures, each beside the floor measured in the same run. Never a timed test."""
