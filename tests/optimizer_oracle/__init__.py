"""A second planner that lists every plan of a tiny problem, and what it says of the real one."""
