"""The fleet: tenants, vehicles, devices, which device sat in which vehicle when, and what is known of them now."""
