"""The original's XML: ``elements`` reads any, ``shape`` gives it the form that YAML has."""
