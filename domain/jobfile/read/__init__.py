"""From nodes to job definitions: tables of fields, one module a level, and what reads single values."""
