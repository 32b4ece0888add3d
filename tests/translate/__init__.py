"""dragoman translate: what is chosen without a run, what a run takes of it, and what the command says."""
