"""Answers by another way, against which the product is held."""
