package sip

// Digest is a decoded challenge or credentials field with the Digest scheme (RFC 3261 §20.7, §20.44, RFC 8760).
// Values are spans without quotes; absent if not there.
type Digest struct {
	Username, Realm, Nonce, URI, Response, Algorithm, CNonce, Opaque, QOP, NC, Domain, Stale Span
}

// ParseDigest decodes the field value s in raw, "Digest name=value, …". A duplicate parameter is an error.
// ok is false for another scheme.
func ParseDigest(raw []byte, s Span) (d Digest, ok bool, err error) { panic("unbuilt") }
