"""The telemetry store: frames, their projection into wide rows, tiers, ledger, and the questions asked of them."""
