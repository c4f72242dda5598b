package sdp

import (
	"bytes"
	"net/netip"
)

// credential reads a=ice-ufrag or a=ice-pwd (RFC 8839 §5.4).
func (m *Media) credential(into *[]byte, value []byte, shortest int, bit uint32) Error {
	switch {
	case len(value) < shortest || len(value) > 256 || !all(value, cICE):
		return ErrICE
	case m.seen&bit != 0 && !bytes.Equal(*into, value):
		return ErrDuplicate
	}
	m.seen |= bit
	*into = value
	return errNone
}

// candidate reads a=candidate (RFC 8839 §5.1). One that is not over UDP, names a host (RFC 8828 has .local names) or can't be
// read is left out, as RFC 8839 asks of what is not understood.
func (s *Session) candidate(at *Media, value []byte) {
	if at == &s.top || at.last-at.first == MaxCandidates {
		return
	}
	var field [6][]byte // foundation, component, transport, priority, address, port
	for i := range field {
		field[i], value = word(value)
	}
	component, ok1 := number(field[1], 255)
	priority, ok2 := number(field[3], 1<<31-1)
	addr, ok3 := literal(field[4])
	p, ok4 := port(field[5])
	if !ok1 || !ok2 || !ok3 || !ok4 || !is(field[2], "UDP") || component == 0 || p == 0 || addr.IsMulticast() || addr.Is4In6() ||
		!bytes.HasPrefix(value, []byte("typ ")) {
		return
	}
	s.candidates = append(s.candidates, Candidate{netip.AddrPortFrom(addr, p), priority, uint8(component)})
	at.last = len(s.candidates)
}
