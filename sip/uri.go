package sip

// Scheme is a URI scheme that ringwall routes by.
type Scheme uint8

// Schemes. SchemeOther is any other well-formed absolute URI: relayed in fields, 416 in a Request-URI.
const (
	SchemeOther Scheme = iota
	SIP
	SIPS
	TEL
)

// A URI is a decoded SIP, SIPS or tel URI (RFC 3261 §19.1, RFC 3966): spans into the buffer it was parsed from.
// Escapes are never decoded. For SchemeOther only Whole is set.
type URI struct {
	Whole    Span
	User     Span // user part (tel: the number); absent if there is none
	Password Span
	Host     Span // name, IPv4 address or IPv6reference with its brackets
	Params   Span // from the first ";" on, without it; absent if none
	Headers  Span // after "?", absent if none
	Port     uint16
	HasPort  bool
	Scheme   Scheme
}

// ParseURI decodes the URI that s covers in raw, all of it or an error.
func ParseURI(raw []byte, s Span) (URI, error) { panic("unbuilt") }

// Param returns the value of a uri-parameter (name in lower case, compared without case) and whether it is there.
// A parameter without "=" is there with an absent value.
func (u *URI) Param(raw []byte, name string) (Span, bool) { panic("unbuilt") }
