"""What people add to the records: confirmed or rejected, categories, notes, labels, persons."""
