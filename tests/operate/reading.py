"""Reads the files of a plan back: numbers and the figures they are said to be."""

import csv
import io
import json
import re

import yaml

# numbers of PromQL and metric math that are no figures: windows are cut off before, seconds of a day and the
# number that makes a month of a year stand in the expressions themselves
CONSTANTS = {86400.0, 100.0, 0.0, 1.0}
NUMBER = re.compile(r"(?<![\w.:-])\d+(?:\.\d+)?(?:e[+-]?\d+)?(?![\w.:-])")


def figures(files):
    """Value by name of figures.csv."""
    return {r["figure"]: float(r["value"]) for r in csv.DictReader(io.StringIO(files["figures.csv"]))}


def rules(files, name="prometheus-alerts.yaml"):
    return [rule for group in yaml.safe_load(files[name])["groups"] for rule in group["rules"]]


def objects(files, name):
    return [o for o in yaml.safe_load_all(files[name]) if o]


def numbers(expression):
    """Numbers of an expression, without windows, labels and texts."""
    bare = re.sub(r"\[\w+\]|\{[^}]*\}|le=~?\"[^\"]*\"", " ", expression)
    return [float(n) for n in NUMBER.findall(bare)]


def loaded(files, name):
    return json.loads(files[name])
