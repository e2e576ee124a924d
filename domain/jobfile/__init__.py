"""Reads job files: from the original's YAML to job definitions, with every problem of a file at once.

``notes`` places and collects problems, ``source`` turns text into YAML nodes within bounds, ``values`` reads single
values, ``fields`` reads maps by tables; ``selector``, ``steps`` and ``jobs`` are the tables, one a level.
"""

from domain.jobfile.jobs import JobFile, read_job_file

__all__ = ["JobFile", "read_job_file"]
