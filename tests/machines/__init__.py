"""Tests of whole machines: bare-metal guests and Debian's kernel, as a user runs them."""
