#!/bin/sh
# Serves the flow beside this file. HOST and PORT say where; the variables of settings.json hold its secrets.
exec python "$(dirname "$0")/app.py"
