package transport

// GuardError names the rule by which the egress guard refused an address: "private", "loopback", "link-local", "multicast",
// "broadcast", "unspecified", "own", "inside", "port".
type GuardError string

// Error describes e for an operator.
func (e GuardError) Error() string { return "egress guard refuses the address: " + string(e) }
