package load

import (
	"bytes"
	"fmt"
	"net/netip"
	"slices"
	"strconv"
	"strings"
)

// maxExamples bounds how many faults a Report describes; all are counted.
const maxExamples = 10

// faults gathers what was wrong with received messages.
type faults struct {
	count    int
	leaks    int // those that showed the inside
	examples []string
}

// add counts a fault of call n; got is the offending message, for the description.
func (f *faults) add(n uint32, got *message, format string, args ...any) {
	f.count++
	if len(f.examples) >= maxExamples {
		return
	}
	what := fmt.Sprintf(format, args...)
	f.examples = append(f.examples, fmt.Sprintf("call %d: %s: %s\n%s", n, got.start, what, indent(got.raw)))
}

func indent(raw []byte) string {
	return "    | " + strings.ReplaceAll(strings.TrimSpace(string(raw)), "\r\n", "\n    | ")
}

// rules say what the system under test may do to a message.
type rules struct {
	Traits
	home []byte   // the platform's Contact URI: what a masked one must become again
	back []string // like Rewritten, in responses
}

// newRules are the rules of a run. In register mode the phone's Contact becomes a binding of the edge, and Path may be added
// (RFC 3327).
func newRules(cfg *Config, s *script) rules {
	r := rules{Traits: cfg.Traits, home: []byte(s.contact())}
	if cfg.Mode == Register {
		r.Added = append(slices.Clip(r.Added), "Path")
		r.Rewritten = append(slices.Clip(r.Rewritten), "Contact")
	}
	if cfg.Masks {
		r.Rewritten = append(slices.Clip(r.Rewritten), "Contact", "Call-ID")
	}
	if r.back = r.Rewritten; cfg.Hides {
		r.back = append(slices.Clip(r.back), "Contact")
	}
	return r
}

// checkRequest compares a request as the platform received it with the request as the caller sent it (RFC 3261 §16.6).
// from is the caller's address, which the proxy must have noted in the caller's Via (RFC 3581 §4).
func (f *faults) checkRequest(n uint32, sent, got *message, from netip.AddrPort, r *rules) {
	if r.Transparent {
		f.checkIdentical(n, sent, got)
		return
	}
	f.checkRequestLine(n, sent, got, r)
	if len(got.vias) != len(sent.vias)+1 {
		f.add(n, got, "%d Vias, want one more than the %d sent", len(got.vias), len(sent.vias))
		return
	}
	if !r.Masks {
		f.checkOwnVia(n, got, sent.vias[0], got.vias[1], from)
	}
	f.checkNewVia(n, got, sent.vias[0])
	if number(got.maxForwards) != number(sent.maxForwards)-1 {
		f.add(n, got, "Max-Forwards %q, want one less than %q", got.maxForwards, sent.maxForwards)
	}
	if len(got.routes) != 0 {
		f.add(n, got, "a Route of the edge reached the platform")
	}
	f.checkRest(n, sent, got, r, from)
}

// checkRequestLine wants the request line as it was sent; inside a dialog with a hidden platform, the platform's own Contact.
func (f *faults) checkRequestLine(n uint32, sent, got *message, r *rules) {
	_, inDialog := param(sent.to, "tag")
	if inDialog && r.Hides {
		if !bytes.Equal(got.method(), sent.method()) || !bytes.Equal(got.requestURI(), r.home) {
			f.add(n, got, "request line of a hidden platform, whose Contact is %q", r.home)
		}
		return
	}
	if !bytes.Equal(sent.start, got.start) {
		f.add(n, got, "request line changed from %q", sent.start)
	}
}

// checkResponse compares a response as the caller received it with the response as the platform sent it (RFC 3261 §16.7).
func (f *faults) checkResponse(n uint32, sent, got *message, request *message, from netip.AddrPort, r *rules) {
	if r.Transparent {
		f.checkIdentical(n, sent, got)
		return
	}
	if !bytes.Equal(sent.start, got.start) {
		f.add(n, got, "status line changed from %q", sent.start)
	}
	if f.checkVias(n, got, request, from) && !r.Masks && !bytes.Equal(got.vias[0], sent.vias[len(sent.vias)-1]) {
		f.add(n, got, "Via changed on its way back from %q", sent.vias[len(sent.vias)-1])
	}
	if len(sent.records) > 0 && len(got.records) == 0 {
		f.add(n, got, "Record-Route is gone")
	}
	if r.Masks && !bytes.Equal(got.callID, request.callID) {
		f.add(n, got, "Call-ID is not the request's %q", request.callID)
	}
	f.checkRest(n, sent, got, r, netip.AddrPort{})
}

// checkOwn checks a response that the edge made itself: Via, From, Call-ID, CSeq and To are the request's (RFC 3261 §8.2.6).
func (f *faults) checkOwn(n uint32, got, request *message, from netip.AddrPort) {
	f.checkVias(n, got, request, from)
	if !bytes.Equal(got.from, request.from) || !bytes.Equal(got.callID, request.callID) || !bytes.Equal(got.cseq, request.cseq) {
		f.add(n, got, "From, Call-ID or CSeq is not the request's")
	}
	if !bytes.HasPrefix(got.to, request.to) {
		f.add(n, got, "To is not the request's %q", request.to)
	}
	if _, tagged := param(got.to, "tag"); !tagged && got.status != 100 {
		f.add(n, got, "To has no tag")
	}
}

// checkVias checks that a response carries exactly the Vias of the caller's request, rport filled in.
func (f *faults) checkVias(n uint32, got, request *message, from netip.AddrPort) bool {
	if len(got.vias) != len(request.vias) {
		f.add(n, got, "%d Vias, want the %d of the request", len(got.vias), len(request.vias))
		return false
	}
	f.checkOwnVia(n, got, request.vias[0], got.vias[0], from)
	return true
}

func (f *faults) checkIdentical(n uint32, sent, got *message) {
	if !bytes.Equal(sent.raw, got.raw) {
		f.add(n, got, "changed on its way; sent was\n%s", indent(sent.raw))
	}
}

// checkOwnVia checks the caller's Via after the proxy: what was sent, rport filled in, received allowed (RFC 3581 §4).
func (f *faults) checkOwnVia(n uint32, got *message, sent, via []byte, from netip.AddrPort) {
	var buf [128]byte
	rest, _ := bytes.CutSuffix(sent, []byte(";rport"))
	ok, filled := true, false
	for p := range bytes.SplitSeq(via, []byte(";")) {
		name, value, _ := bytes.Cut(p, []byte("="))
		switch string(name) {
		case "rport":
			filled = bytes.Equal(value, strconv.AppendUint(buf[:0], uint64(from.Port()), 10))
		case "received": // anywhere among the parameters
			ok = ok && bytes.Equal(value, from.Addr().AppendTo(buf[:0]))
		default:
			var want []byte
			want, rest, _ = bytes.Cut(rest, []byte(";"))
			ok = ok && bytes.Equal(p, want)
		}
	}
	if !ok || !filled || len(rest) > 0 {
		f.add(n, got, "the caller's Via %q became %q", sent, via)
	}
}

// checkNewVia checks the Via that the proxy added: magic cookie and a branch of its own (RFC 3261 §16.6 step 8).
func (f *faults) checkNewVia(n uint32, got *message, callers []byte) {
	branch, _ := param(got.vias[0], "branch")
	theirs, _ := param(callers, "branch")
	if !bytes.HasPrefix(branch, []byte("z9hG4bK")) || len(branch) < len("z9hG4bK")+4 || bytes.Equal(branch, theirs) {
		f.add(n, got, "the added Via %q has no branch of its own", got.vias[0])
	}
}

// checkLeaks looks for addresses inside in a message that a caller got: in any byte of it.
func (f *faults) checkLeaks(got *message, inside [][]byte) {
	for _, address := range inside {
		if bytes.Contains(got.raw, address) {
			f.leaks++
			f.add(0, got, "the inside address %s leaks", address)
			return
		}
	}
}

// checkRest compares every other header field, in order, and the body. Only a request may have fields added; its source is
// from, which is invalid for a response.
func (f *faults) checkRest(n uint32, sent, got *message, r *rules, from netip.AddrPort) {
	i, told := 0, r.Source == "" || !from.IsValid()
	rewritten := r.Rewritten
	if !from.IsValid() {
		rewritten = r.back
	}
	for _, g := range got.rest {
		switch {
		case i < len(sent.rest) && bytes.Equal(g.line, sent.rest[i].line):
			i++
		case i < len(sent.rest) && bytes.Equal(g.name, sent.rest[i].name) && has(rewritten, g.name):
			i++
		case !told && string(g.name) == r.Source && isSource(g.value, from):
			told = true
		case from.IsValid() && has(r.Added, g.name):
		default:
			f.add(n, got, "header field %q differs from what was sent there: %q", g.line, nextLine(sent, i))
			return
		}
	}
	if i < len(sent.rest) {
		f.add(n, got, "header field %q is gone", sent.rest[i].line)
	}
	if !told {
		f.add(n, got, "no %s that names %s", r.Source, from)
	}
	if !bytes.Equal(sent.body, got.body) {
		f.add(n, got, "body changed from %q", sent.body)
	}
}

// isSource reports whether a source header field's value is "address:port;udp" of from.
func isSource(value []byte, from netip.AddrPort) bool {
	var buf [64]byte
	return bytes.Equal(value, append(from.AppendTo(buf[:0]), ";udp"...))
}

func nextLine(m *message, i int) []byte {
	if i < len(m.rest) {
		return m.rest[i].line
	}
	return nil
}
