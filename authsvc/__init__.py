"""An exact authorization decision engine for card spending."""
