"""Keys, certificates, signatures, time stamps and the roots that are trusted."""
