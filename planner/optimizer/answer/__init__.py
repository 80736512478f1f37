"""What a plan says of itself: its frames, checks, bound, range, bindings and refusals."""
