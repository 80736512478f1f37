"""The bill of a schedule: every charge, by arithmetic that knows nothing of the linear program."""
