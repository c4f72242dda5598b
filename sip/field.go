package sip

// FieldID names a header field that ringwall knows. Unknown fields have FieldOther and keep their spelling.
type FieldID uint8

// The header fields of RFC 3261 §20 and of its extensions that ringwall treats by name.
const (
	FieldOther FieldID = iota
	FieldVia
	FieldFrom
	FieldTo
	FieldCallID
	FieldCSeq
	FieldMaxForwards
	FieldContact
	FieldRoute
	FieldRecordRoute
	FieldContentLength
	FieldContentType
	FieldExpires
	FieldAuthorization
	FieldProxyAuthorization
	FieldWWWAuthenticate
	FieldProxyAuthenticate
	FieldAuthenticationInfo
	FieldRequire
	FieldProxyRequire
	FieldSupported
	FieldUnsupported
	FieldAllow
	FieldPath
	FieldServiceRoute
	FieldMaxBreadth
	FieldRAck
	FieldRSeq
	FieldReferTo
	FieldReferredBy
	FieldReplaces
	FieldEvent
	FieldUserAgent
	FieldServer
	FieldWarning
	FieldDate
	FieldTimestamp
	FieldRetryAfter
	FieldMinExpires
	FieldMinSE
	FieldSessionExpires
	FieldSubject
	FieldAccept
	FieldContentEncoding
	FieldContentDisposition
	FieldAllowEvents
	FieldAcceptContact
	FieldRejectContact
	FieldRequestDisposition
	FieldIdentity
	FieldIdentityInfo
	fieldIDs
)

const _ = uint(64 - fieldIDs) // Message.again has a bit for each

// String returns the canonical name of the field, "" for FieldOther.
func (f FieldID) String() string { return fieldInfo[f].name }

// fieldInfo: canonical name, compact form (0 if none; RFC 3261 §7.3.3 and the IANA registry),
// and whether a message may carry it only once (RFC 3261 §7.3.1, table 2 and 3).
var fieldInfo = [fieldIDs]struct {
	name    string
	compact byte
	single  bool
}{
	FieldVia:                {"Via", 'v', false},
	FieldFrom:               {"From", 'f', true},
	FieldTo:                 {"To", 't', true},
	FieldCallID:             {"Call-ID", 'i', true},
	FieldCSeq:               {"CSeq", 0, true},
	FieldMaxForwards:        {"Max-Forwards", 0, true},
	FieldContact:            {"Contact", 'm', false},
	FieldRoute:              {"Route", 0, false},
	FieldRecordRoute:        {"Record-Route", 0, false},
	FieldContentLength:      {"Content-Length", 'l', true},
	FieldContentType:        {"Content-Type", 'c', true},
	FieldExpires:            {"Expires", 0, true},
	FieldAuthorization:      {"Authorization", 0, false},
	FieldProxyAuthorization: {"Proxy-Authorization", 0, false},
	FieldWWWAuthenticate:    {"WWW-Authenticate", 0, false},
	FieldProxyAuthenticate:  {"Proxy-Authenticate", 0, false},
	FieldAuthenticationInfo: {"Authentication-Info", 0, true},
	FieldRequire:            {"Require", 0, false},
	FieldProxyRequire:       {"Proxy-Require", 0, false},
	FieldSupported:          {"Supported", 'k', false},
	FieldUnsupported:        {"Unsupported", 0, false},
	FieldAllow:              {"Allow", 0, false},
	FieldPath:               {"Path", 0, false},
	FieldServiceRoute:       {"Service-Route", 0, false},
	FieldMaxBreadth:         {"Max-Breadth", 0, true},
	FieldRAck:               {"RAck", 0, true},
	FieldRSeq:               {"RSeq", 0, true},
	FieldReferTo:            {"Refer-To", 'r', true},
	FieldReferredBy:         {"Referred-By", 'b', true},
	FieldReplaces:           {"Replaces", 0, true},
	FieldEvent:              {"Event", 'o', true},
	FieldUserAgent:          {"User-Agent", 0, true},
	FieldServer:             {"Server", 0, true},
	FieldWarning:            {"Warning", 0, false},
	FieldDate:               {"Date", 0, true},
	FieldTimestamp:          {"Timestamp", 0, true},
	FieldRetryAfter:         {"Retry-After", 0, true},
	FieldMinExpires:         {"Min-Expires", 0, true},
	FieldMinSE:              {"Min-SE", 0, true},
	FieldSessionExpires:     {"Session-Expires", 'x', true},
	FieldSubject:            {"Subject", 's', true},
	FieldAccept:             {"Accept", 0, false},
	FieldContentEncoding:    {"Content-Encoding", 'e', false},
	FieldContentDisposition: {"Content-Disposition", 0, true},
	FieldAllowEvents:        {"Allow-Events", 'u', false},
	FieldAcceptContact:      {"Accept-Contact", 'a', false},
	FieldRejectContact:      {"Reject-Contact", 'j', false},
	FieldRequestDisposition: {"Request-Disposition", 'd', false},
	FieldIdentity:           {"Identity", 'y', false},
	FieldIdentityInfo:       {"Identity-Info", 'n', false},
}

// What opaqueKind says of a field.
const (
	notOpaque  uint8 = iota // Parse looks into it
	opaqueOnce              // it does not; the field may stand once
	opaque                  // nor here, and the field may stand as often as it likes
)

var opaqueKind = makeOpaqueKind()

func makeOpaqueKind() (t [fieldIDs]uint8) {
	for id := FieldOther + 1; id < fieldIDs; id++ {
		if t[id] = opaque; fieldInfo[id].single {
			t[id] = opaqueOnce
		}
	}
	for _, id := range [...]FieldID{FieldVia, FieldFrom, FieldTo, FieldCallID, FieldCSeq, FieldMaxForwards, FieldContact, FieldRoute, FieldRecordRoute,
		FieldPath, FieldServiceRoute, FieldContentLength} {
		t[id] = notOpaque
	}
	return t
}
