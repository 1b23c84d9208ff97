"""What was found, in other programs' formats: one file a format, all streaming."""
