# Validates YAML documents with a JSON Schema: {"schema", "documents"} on standard input, on standard output a list with the
# errors of each document.
import json
import sys

import jsonschema
import yaml

given = json.load(sys.stdin)
checker = jsonschema.Draft202012Validator
checker.check_schema(given["schema"])
validator = checker(given["schema"])
out = []
for text in given["documents"]:
    try:
        value = yaml.safe_load(text)
    except yaml.YAMLError as e:
        out.append(["not YAML: " + str(e)])
        continue
    out.append([e.json_path + ": " + e.message for e in validator.iter_errors(value)])
json.dump(out, sys.stdout)
