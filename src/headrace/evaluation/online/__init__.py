"""What live traffic says about arms: evidence folded to units, tested unit by unit, and put into words."""
