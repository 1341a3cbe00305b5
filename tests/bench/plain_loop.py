"""The work of the two-node flow and nothing else: ``python plain_loop.py DATA OUT``."""

import json
import sys

import jinja2

with open(sys.argv[1]) as source, open(sys.argv[2], "w") as target, open(sys.argv[3]) as template_file:
    template = jinja2.Template(template_file.read())
    for line in source:
        prompt = template.render(**json.loads(line))
        target.write(json.dumps({"words": len(prompt.split())}) + "\n")
