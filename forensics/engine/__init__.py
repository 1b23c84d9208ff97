"""The engine: plans units of work, has them done by children that may die, and writes down what came of it."""

PRELOADED = ["forensics.engine.door", "forensics.engine.child"]  # what the server of child processes loads, once for all of them
