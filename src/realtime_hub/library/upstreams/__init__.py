"""Where a hub's changes come from: one adapter a module, held to `ports.Upstream`."""
