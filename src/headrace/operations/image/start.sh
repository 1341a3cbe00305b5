#!/bin/sh
# Serves the flow beside this file. HOST and PORT say where; the settings of settings.json are its secrets.
cd "$(dirname "$0")" || exit 1
# headrace looks for connections in .headrace of the folder that it is started in.
if [ -d connections ] && [ ! -e .headrace ]; then
  mkdir .headrace && cp -R connections .headrace/ || exit 1
fi
exec headrace flow serve --source flow --host "${HOST:-0.0.0.0}" --port "${PORT:-8080}" --skip-open-browser
