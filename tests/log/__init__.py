"""What -d prints."""
