"""What a partner state can verify: sealing, disclosing, receiving, acknowledging."""
