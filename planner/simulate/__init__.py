"""Would it have held? Replays a plan on load paths it was not optimized on."""
