"""What only the demo needs. Nothing outside `gateway.demo` and the demo's command imports it."""
