"""Services known by load tests: points, closed loops and labeled extrapolation."""
