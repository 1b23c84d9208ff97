"""Files found in bytes that no file system describes, by their signature and by walking their own structure."""
