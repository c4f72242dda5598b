package sip

// Error says why a message is refused. It is a value, not an allocation.
type Error uint8

// Errors of Parse, Framer, NextVia, NextAddress, ParseURI and ParseDigest.
const (
	errNone                 Error = iota
	ErrEmpty                      // nothing, or nothing but CRLF
	ErrStartLine                  // neither a request line nor a status line
	ErrRequestLine                // method, but not "method SP URI SP SIP/2.0"
	ErrVersion                    // another version of SIP
	ErrStatusCode                 // not 100 to 699
	ErrMethodLength               // method longer than MaxMethod
	ErrURI                        // Request-URI or a URI in a field
	ErrURILength                  // URI longer than MaxURI
	ErrBareCR                     // CR without LF
	ErrBareLF                     // LF without CR
	ErrControl                    // control byte outside a quoted-pair
	ErrUnfinished                 // no empty line after the fields
	ErrFold                       // folded first field, or a blank continuation line
	ErrFieldName                  // no colon, or something else than a token before it
	ErrFieldNameLength            // field name longer than MaxFieldName
	ErrFieldCount                 // more than MaxFields fields
	ErrValueLength                // value longer than MaxValue
	ErrDuplicate                  // a field that may stand only once stands twice
	ErrContentLength              // Content-Length is not a number
	ErrContentLengthDiffers       // two different values of Content-Length
	ErrContentLengthMissing       // no Content-Length on a stream
	ErrTooLarge                   // Content-Length above MaxBody, or a message above Framer.Max
	ErrBody                       // fewer bytes than Content-Length says, or, on a stream, more
	ErrVia                        // a via-parm is not well formed, or has a parameter twice
	ErrBranch                     // branch with nothing after the magic cookie
	ErrViaCount                   // more than MaxVias via-parms
	ErrFrom                       // From is not exactly one address with at most one tag
	ErrTo                         // the same of To
	ErrCallID                     // Call-ID is not word or word@word
	ErrCSeq                       // CSeq is not a number below 2^31 and a method
	ErrCSeqMethod                 // CSeq names another method than the request line
	ErrMaxForwards                // Max-Forwards is not 0 to 255
	ErrContact                    // a Contact is not well formed, or "*" is not alone
	ErrContactCount               // more than MaxContacts Contact values
	ErrRoute                      // Route, Record-Route, Path or Service-Route is no list of name-addr
	ErrParam                      // a parameter is not well formed, or stands twice
	ErrParamCount                 // more than MaxParams parameters
	ErrQuote                      // a quoted string is not closed
	ErrAddress                    // an address is not well formed (NextAddress)
	ErrDigest                     // Digest parameters are not well formed (ParseDigest)
	ErrMissing                    // Via, From, To, Call-ID or CSeq is not there
	errorCount
)

// errorInfo: id, sentence, status of the reply that suits, and whether the end of the message is in doubt.
var errorInfo = [errorCount]struct {
	id, text string
	status   int
	framing  bool
}{
	errNone:                 {"none", "no error", 400, false},
	ErrEmpty:                {"empty", "message is empty", 400, false},
	ErrStartLine:            {"start_line", "first line is neither a request line nor a status line", 400, true},
	ErrRequestLine:          {"request_line", "request line is not method, URI and SIP/2.0 with one space between", 400, false},
	ErrVersion:              {"version", "version is not SIP/2.0", 505, false},
	ErrStatusCode:           {"status_code", "status code is not between 100 and 699", 400, false},
	ErrMethodLength:         {"method_length", "method is longer than 64 bytes", 400, true},
	ErrURI:                  {"uri", "URI is not well formed", 400, false},
	ErrURILength:            {"uri_length", "URI is longer than 4096 bytes", 414, false},
	ErrBareCR:               {"bare_cr", "CR without LF in the header", 400, true},
	ErrBareLF:               {"bare_lf", "LF without CR in the header", 400, true},
	ErrControl:              {"control", "control byte in the header", 400, true},
	ErrUnfinished:           {"unfinished", "header has no end", 400, true},
	ErrFold:                 {"fold", "first field is folded, or a folded line is blank", 400, true},
	ErrFieldName:            {"field_name", "field name is not a token followed by a colon", 400, true},
	ErrFieldNameLength:      {"field_name_length", "field name is longer than 256 bytes", 400, true},
	ErrFieldCount:           {"field_count", "more than 256 header fields", 400, true},
	ErrValueLength:          {"value_length", "field value is longer than 16384 bytes", 400, true},
	ErrDuplicate:            {"duplicate", "a field that may stand once stands twice", 400, false},
	ErrContentLength:        {"content_length", "Content-Length is not a number below 2^31", 400, true},
	ErrContentLengthDiffers: {"content_length_differs", "two Content-Length fields differ", 400, true},
	ErrContentLengthMissing: {"content_length_missing", "no Content-Length on a stream", 400, true},
	ErrTooLarge:             {"too_large", "message is larger than allowed", 413, true},
	ErrBody:                 {"body", "body is not as long as Content-Length says", 400, true},
	ErrVia:                  {"via", "Via is not well formed", 400, false},
	ErrBranch:               {"branch", "branch of Via has nothing after the magic cookie", 400, false},
	ErrViaCount:             {"via_count", "more than 64 Via values", 400, true},
	ErrFrom:                 {"from", "From is not one well-formed address with at most one tag", 400, false},
	ErrTo:                   {"to", "To is not one well-formed address with at most one tag", 400, false},
	ErrCallID:               {"call_id", "Call-ID is not well formed", 400, false},
	ErrCSeq:                 {"cseq", "CSeq is not a number below 2^31 and a method", 400, false},
	ErrCSeqMethod:           {"cseq_method", "method of CSeq differs from the request's", 400, false},
	ErrMaxForwards:          {"max_forwards", "Max-Forwards is not a number from 0 to 255", 400, false},
	ErrContact:              {"contact", "Contact is not well formed", 400, false},
	ErrContactCount:         {"contact_count", "more than 32 Contact values", 400, true},
	ErrRoute:                {"route", "Route, Record-Route, Path or Service-Route is not well formed", 400, false},
	ErrParam:                {"param", "parameter is not well formed, or stands twice", 400, false},
	ErrParamCount:           {"param_count", "more than 64 parameters", 400, false},
	ErrQuote:                {"quote", "quoted string is not closed", 400, false},
	ErrAddress:              {"address", "address is not well formed", 400, false},
	ErrDigest:               {"digest", "Digest parameters are not well formed", 400, false},
	ErrMissing:              {"missing", "Via, From, To, Call-ID or CSeq is missing", 400, false},
}

// Error describes e for an operator.
func (e Error) Error() string { return errorInfo[e].text }

// ID is the stable reason id, "malformed.content_length".
func (e Error) ID() string { return reasonIDs[e] }

// Status is the reply that suits e where a reply is allowed: 400, or 413, 414, 505.
func (e Error) Status() int { return errorInfo[e].status }

// Framing reports whether e leaves the end of the message in doubt, so that a stream must be closed.
func (e Error) Framing() bool { return errorInfo[e].framing }

// Errors returns every Error, for documentation and for counters that want their labels beforehand.
func Errors() []Error {
	list := make([]Error, 0, errorCount-1)
	for e := errNone + 1; e < errorCount; e++ {
		list = append(list, e)
	}
	return list
}

// reasonIDs holds the ids with their prefix, so that ID does not allocate.
var reasonIDs = func() (ids [errorCount]string) {
	for e := range ids {
		ids[e] = "malformed." + errorInfo[e].id
	}
	return ids
}()
