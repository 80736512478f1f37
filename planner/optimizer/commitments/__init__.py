"""Which commitments to sign, from when on, and how a bill settles them."""
