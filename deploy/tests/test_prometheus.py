"""The alerts, by Prometheus' own tool."""

from conftest import ROOT, run

FOLDER = ROOT / "deploy/prometheus"


def test_rules_are_valid():
    run("promtool", "check", "rules", FOLDER / "alerts.yaml")


def test_rules_fire_when_they_should_and_not_before():
    run("promtool", "test", "rules", FOLDER / "tests/alerts.yaml")
