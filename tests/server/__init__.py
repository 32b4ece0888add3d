"""The compiler process, with work that is made up (fake_jobs.py), and all that may befall it."""
