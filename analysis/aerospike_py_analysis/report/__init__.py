"""Reports: ``document`` says what is in one, the other modules render it for the terminal, as Markdown and as HTML."""
