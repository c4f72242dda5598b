package sip

// Method is a request method (RFC 3261 §7.1 and extensions). Methods are case-sensitive.
type Method uint8

// MethodOther is any token that is not listed here; its spelling is in Message.MethodName.
const (
	MethodOther Method = iota
	INVITE
	ACK
	BYE
	CANCEL
	REGISTER
	OPTIONS
	PRACK
	UPDATE
	INFO
	REFER
	NOTIFY
	SUBSCRIBE
	PUBLISH
	MESSAGE
	methods
)

var methodNames = [methods]string{"", "INVITE", "ACK", "BYE", "CANCEL", "REGISTER", "OPTIONS", "PRACK",
	"UPDATE", "INFO", "REFER", "NOTIFY", "SUBSCRIBE", "PUBLISH", "MESSAGE"}

// String returns the method's name, "" for MethodOther.
func (m Method) String() string { return methodNames[m] }

// MethodOf returns the Method spelled exactly b, or MethodOther.
func MethodOf(b []byte) Method {
	switch string(b) {
	case "INVITE":
		return INVITE
	case "ACK":
		return ACK
	case "BYE":
		return BYE
	case "CANCEL":
		return CANCEL
	case "REGISTER":
		return REGISTER
	case "OPTIONS":
		return OPTIONS
	case "PRACK":
		return PRACK
	case "UPDATE":
		return UPDATE
	case "INFO":
		return INFO
	case "REFER":
		return REFER
	case "NOTIFY":
		return NOTIFY
	case "SUBSCRIBE":
		return SUBSCRIBE
	case "PUBLISH":
		return PUBLISH
	case "MESSAGE":
		return MESSAGE
	}
	return MethodOther
}
