package sdp

// Error says why a session description is refused. It is a value, not an allocation; Session.ErrorLine says where.
type Error uint8

// Errors of Parse, Rewrite and FindPart.
const (
	errNone         Error = iota
	ErrTooLarge           // more than MaxBody bytes or MaxLines lines
	ErrLineEnd            // CR without LF, or LF and CRLF mixed
	ErrControl            // a control byte in a line
	ErrLine               // a line is not one of the known letters, "=" and a value
	ErrOrder              // v= is not first, or a line of the session stands below m=
	ErrDuplicate          // what may stand once stands twice
	ErrVersion            // v= is not 0
	ErrOrigin             // o= is missing or not well formed
	ErrTime               // t= is not two numbers
	ErrBandwidth          // b= is not type, ":" and a number
	ErrConnection         // c= is not well formed, or a media line in use has none
	ErrAddress            // an address is a name, multicast, has a zone, or is written in an odd way
	ErrMedia              // m= is not type, port, protocol and formats
	ErrMediaCount         // more than MaxMedia media lines
	ErrPort               // a port is not a plain number up to 65535
	ErrAttribute          // a= is empty, or one whose meaning matters is not well formed
	ErrRTCP               // a=rtcp is not well formed
	ErrICE                // ICE credentials are not well formed or not whole
	ErrMark               // a media line names the inside (Rewrite)
	ErrMultipart          // the parts of the body can't be told from each other in one way only (FindPart)
	ErrPartCount          // more than one session description in one body (FindPart)
	ErrPartEncoding       // the session description in a part is encoded (FindPart)
	errorCount
)

// Replies that suit an Error.
const (
	badRequest    = 400
	notAcceptable = 488
)

// errorInfo: id, sentence, and status of the reply that suits.
var errorInfo = [errorCount]struct {
	id, text string
	status   int
}{
	errNone:         {"none", "no error", badRequest},
	ErrTooLarge:     {"too_large", "session description has more than 65535 bytes or 1000 lines", notAcceptable},
	ErrLineEnd:      {"line_end", "CR without LF, or line ends mixed", badRequest},
	ErrControl:      {"control", "control byte in a line", badRequest},
	ErrLine:         {"line", "line is not a known letter, = and a value", badRequest},
	ErrOrder:        {"order", "v= is not first, or a line of the session stands below m=", badRequest},
	ErrDuplicate:    {"duplicate", "what may stand once stands twice", badRequest},
	ErrVersion:      {"version", "v= is not 0", badRequest},
	ErrOrigin:       {"origin", "o= is missing or not well formed", badRequest},
	ErrTime:         {"time", "t= is not two numbers", badRequest},
	ErrBandwidth:    {"bandwidth", "b= is not a type, a colon and a number", badRequest},
	ErrConnection:   {"connection", "c= is missing or not well formed", badRequest},
	ErrAddress:      {"address", "address is a name, multicast, has a zone or something behind it", notAcceptable},
	ErrMedia:        {"media", "m= is not type, port, protocol and formats", badRequest},
	ErrMediaCount:   {"media_count", "more than 32 media lines", notAcceptable},
	ErrPort:         {"port", "port is not a plain number up to 65535", badRequest},
	ErrAttribute:    {"attribute", "a= is empty or not well formed", badRequest},
	ErrRTCP:         {"rtcp", "a=rtcp is not a port, or a port and an address", badRequest},
	ErrICE:          {"ice", "ICE credentials are not well formed or not whole", badRequest},
	ErrMark:         {"mark", "media line names the inside", notAcceptable},
	ErrMultipart:    {"multipart", "parts of the body can be told apart in more than one way, or in none", badRequest},
	ErrPartCount:    {"part_count", "more than one session description in one body", notAcceptable},
	ErrPartEncoding: {"part_encoding", "session description in a part is encoded", notAcceptable},
}

// Error describes e for an operator.
func (e Error) Error() string { return errorInfo[e].text }

// ID is the stable reason id, "sdp.port".
func (e Error) ID() string { return reasonIDs[e] }

// Status is the reply that suits e where a reply is allowed: 400 for what is no session description, 488 for one that we
// understand and can't relay.
func (e Error) Status() int { return errorInfo[e].status }

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
		ids[e] = "sdp." + errorInfo[e].id
	}
	return ids
}()
