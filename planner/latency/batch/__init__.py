"""Services that take what waits as one batch, on CPUs and accelerators."""
