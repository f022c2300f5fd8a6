"""Commands of `milepost-cloud` that are more than one call; imported when they are asked for."""
