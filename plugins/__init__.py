"""One artefact, one file: the plugins that are shipped."""
