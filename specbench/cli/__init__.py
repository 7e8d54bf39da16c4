"""The only code that knows Typer and Rich. One command a file; a command contains no decisions."""
