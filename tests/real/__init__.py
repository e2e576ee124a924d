"""Tests against real servers in containers, and the fixtures that find or make the engine and the images."""
