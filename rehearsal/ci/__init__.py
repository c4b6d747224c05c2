"""Pipeline files for CI services: a rehearsal and a gate, with their artefacts and exit codes."""
