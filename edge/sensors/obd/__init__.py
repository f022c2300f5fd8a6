"""OBD-II through an ELM327 adapter: bytes (`port`), adapter (`elm`), answers (`answer`, `decode`), vehicle, sensor."""
