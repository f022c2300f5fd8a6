"""On-device models: catalogue, features, manifests."""
