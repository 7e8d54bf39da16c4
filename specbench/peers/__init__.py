"""What other tools measured: their files -> figures that keep the tools' own names, definitions and units."""
