"""Regexes as the original's language (Java) has them, matched within bounds."""
