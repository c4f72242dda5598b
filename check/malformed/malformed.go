// Package malformed weighs what is no well-formed SIP. See README.md.
package malformed

import (
	"encoding/binary"

	"github.com/ringwall/ringwall/edge"
	"github.com/ringwall/ringwall/sip"
)

const (
	reasonSerious edge.Reason = "malformed.serious" // wrong as no product gets it wrong, or no SIP at all
	reasonMild    edge.Reason = "malformed.mild"    // wrong as old products get it wrong
)

// Reasons lists every reason this check gives.
func Reasons() []edge.Reason { return []edge.Reason{reasonSerious, reasonMild} }

const (
	serious = 2
	mild    = 0.5
	most    = 4 // of each kind: old products repeat their mistakes
)

// A Check has no memory.
type Check struct{}

// New makes the check.
func New() Check { return Check{} }

// Unreadable implements edge.Sorter.
func (Check) Unreadable(x *edge.Exchange, why sip.Error) *edge.Verdict {
	if keepalive(x.Msg.Raw) {
		return nil
	}
	switch why {
	case sip.ErrMissing, sip.ErrFold, sip.ErrMaxForwards, sip.ErrParam, sip.ErrBranch, sip.ErrContact, sip.ErrDuplicate, sip.ErrBareLF, sip.ErrCallID:
		return x.Say(edge.Verdict{Action: edge.Drop, Reason: reasonMild, Score: mild, Most: most})
	}
	return x.Say(edge.Verdict{Action: edge.Drop, Reason: reasonSerious, Score: serious, Most: most})
}

// odd are defects that the parser lets pass and that no product has.
const odd = sip.DefectURIHeaders | sip.DefectQuotedControl | sip.DefectDupContentLength

// Inspect implements edge.Check.
func (Check) Inspect(x *edge.Exchange) *edge.Verdict {
	if x.Msg.Defects&odd == 0 {
		return nil
	}
	return x.Say(edge.Verdict{Action: edge.Note, Reason: reasonMild, Score: mild, Most: most})
}

const (
	shortest   = 16 // bytes; "jaK" and other keep-alives of phones are shorter
	stunHeader = 20
	stunCookie = 0x2112a442 // RFC 8489 §5
)

// keepalive reports what phones send to keep a binding open: a few bytes, zeros, or STUN.
func keepalive(b []byte) bool {
	if len(b) < shortest {
		return true
	}
	if len(b) >= stunHeader && b[0] < 2 && binary.BigEndian.Uint32(b[4:]) == stunCookie {
		return true
	}
	for _, c := range b {
		if c != 0 && c != '\r' && c != '\n' && c != ' ' {
			return false
		}
	}
	return true
}
