"""Judges that read only evidence. They share no code with the system under test."""
