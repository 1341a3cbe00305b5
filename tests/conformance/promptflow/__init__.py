"""Cases of our own making, run under headrace and compared with recordings of stock promptflow.

``cases/<section>/<name>.yaml`` says what is run, ``recorded/<section>.json`` what stock did. ``record`` writes the
recordings; ``test_recorded`` compares with them, ``test_live`` with a stock that is installed. README.md says how.
"""
