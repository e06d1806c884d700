"""Exports of recordings for other tools, one module per format."""
