"""The linear program: the cheapest configuration that serves the load; the only importer of PuLP."""
