"""Job files: from the original's YAML, JSON and XML to job definitions, and back.

``notes`` places and collects problems, ``source`` turns text into nodes within ``bounds``: ``jsonsource`` and ``xml``
give JSON and XML the nodes that YAML has. ``read`` has the tables of fields, one module a level; ``write`` goes back.
"""

from domain.jobfile.file import JobFile, read_job_file
from domain.jobfile.write import FORMATS, Format, write_job_file

__all__ = ["FORMATS", "Format", "JobFile", "read_job_file", "write_job_file"]
