"""The linear program: problem, formulation, one checked solve, and large problems to a stated gap.

Knows no scenario, catalog or load.
"""
