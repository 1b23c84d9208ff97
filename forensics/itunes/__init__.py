"""Backups that iTunes and the Finder make of iPhones and iPads: which file each hashed name stands for, and the keys of encrypted ones."""
