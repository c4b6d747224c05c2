"""Verdicts as JSON, JUnit, Markdown, OpenMetrics and one HTML page."""
