package sip

// An Address is one name-addr or addr-spec with its header parameters (RFC 3261 §20.10), spans into its buffer.
type Address struct {
	Whole   Span // display name, URI and parameters
	Display Span // as written, with its quotes; absent if none
	URI     Span // without the angle brackets
	Params  Span // header parameters after the first ";", absent if none
	Angle   bool // the URI stands in angle brackets
	Star    bool // the value is "*" (Contact only)
}

// NextAddress decodes the address at the start of the list rest, which lies in raw, and returns what follows its
// comma (absent after the last). Use it for Contact, Route, Record-Route, Path, From, To …
func NextAddress(raw []byte, rest Span) (a Address, after Span, err error) { panic("unbuilt") }

// Param returns the value of a header parameter (name in lower case, compared without case; the value keeps its quotes)
// and whether it is there.
func (a *Address) Param(raw []byte, name string) (Span, bool) { panic("unbuilt") }

// NextParam steps through parameters as they stand in Address.Params, URI.Params: name, value (absent without "="),
// whole (name, "=" and value) and the rest.
func NextParam(raw []byte, rest Span) (name, value, whole, after Span) { panic("unbuilt") }
