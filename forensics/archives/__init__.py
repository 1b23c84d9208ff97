"""How archives are compressed and encrypted: what several container plugins, or one that would be too long, have in common."""
