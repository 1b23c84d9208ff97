"""YARA rules: read, told apart, judged for screening by YARA-X, compiled for both engines, kept compiled."""
