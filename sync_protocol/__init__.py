"""What device and cloud say to each other: catalogue, frame, ledger, messages, subjects. `SPEC.md` is the text."""
