"""Nodes: filters, order and file formats, by the rules of the original."""
