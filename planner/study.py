"""The composition: one scenario and catalog in, one study out."""
