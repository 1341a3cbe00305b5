"""Speed, side by side with stock promptflow and with a bare floor. ``make bench``; never part of the tests."""
