"""What the receiver says about itself: the ledger, its Prometheus form, logs."""
