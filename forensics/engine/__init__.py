"""The engine: plans units of work, has them done by children that may die, and writes down what came of it."""

# What the server of child processes loads, once for all of them
PRELOADED = ["forensics.engine.door", "forensics.engine.child", "forensics.engine.ready"]
