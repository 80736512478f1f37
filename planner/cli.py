"""The command line: each command is one public call and its output."""
