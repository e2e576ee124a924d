"""From job definitions to job files in the original's form: ``maps`` and ``steps`` build what all formats hold."""

from domain.jobfile.write.file import FORMATS, Format, write_job_file

__all__ = ["FORMATS", "Format", "write_job_file"]
