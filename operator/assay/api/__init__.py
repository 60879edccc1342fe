"""What users write and what they read back, as pydantic models."""
