"""The only code that knows an engine's dialect: how it is started, asked, and what its counters are called."""
