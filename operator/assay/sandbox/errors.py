"""What can go wrong with a sandbox, said in sentences."""


class SandboxError(Exception):
    """The sandbox cannot do what was asked; the message says what is missing and what would help."""
