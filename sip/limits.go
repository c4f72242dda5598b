package sip

// Limits that Parse enforces; each has its own Error. They are far above what RFC 4475's longest legal messages need.
const (
	MaxFields    = 256   // header field lines in a message
	MaxFieldName = 256   // bytes of a field name
	MaxValue     = 16384 // bytes of a field value, folds included (STIR/SHAKEN identities are long)
	MaxVias      = 64    // via-parms in a message
	MaxContacts  = 32    // Contact values in a message
	MaxParams    = 64    // parameters of one list (a URI, a via-parm, an address, credentials)
	MaxMethod    = 64    // bytes of a method (RFC 4475 §3.1.1.2 has one of 43)
	MaxURI       = 4096  // bytes of a URI
	MaxBody      = 65535 // bytes of a body, so the largest Content-Length
	maxCSeq      = 1<<31 - 1

	// A proxy adds to what it relays, and must be able to read that again, and the response to it. So Parse takes a little more
	// than a request to be relayed may have (Message.Full).
	mostFields = MaxFields + 8
	mostVias   = MaxVias + 1
	roomInVia  = 128 // bytes that received and rport may need in the topmost Via
)
