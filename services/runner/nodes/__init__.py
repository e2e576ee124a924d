"""The node executors and file copiers that come with the runner.

One class of each serves as both: ``execute`` and ``copy`` then share connections, where the runner makes one instance
of a class for both kinds. What a class needs beyond the runner's own dependencies stands in its ``requires``, and is
imported at the first use.
"""
