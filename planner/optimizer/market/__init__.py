"""What a scenario may buy: offers and commitments by service, within its rules."""
