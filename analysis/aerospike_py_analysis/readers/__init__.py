"""Readers: from files to chunks of operations. ``find`` says what each file is, one module per format reads it."""
