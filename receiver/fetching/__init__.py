"""Asks vendors' REST APIs for what their pushes announce, and journals the answers as deliveries of their own."""
