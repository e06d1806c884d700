"""Workloads and measurements of the client; the client itself does not import anything from here."""
