package topo

import (
	"bytes"
	"strconv"

	"github.com/ringwall/ringwall/sip"
)

// A fragKind is what becomes of a header field in a message/sipfrag body.
type fragKind uint8

const (
	fragGone    fragKind = iota
	fragText             // hosts of its URIs are replaced
	fragTargets          // its URIs become tokens
	fragDialog           // it begins with a Call-ID
	fragReason           // its text goes
)

// fragFields are the fields of a message in a body that pass, in lower case.
var fragFields = map[string]fragKind{
	"from": fragText, "f": fragText, "to": fragText, "t": fragText, "cseq": fragText, "event": fragText, "o": fragText,
	"expires": fragText, "referred-by": fragText, "b": fragText, "subscription-state": fragText, "require": fragText, "reason": fragReason,
	"contact": fragTargets, "m": fragTargets, "refer-to": fragTargets, "r": fragTargets,
	"call-id": fragDialog, "i": fragDialog, "replaces": fragDialog, "join": fragDialog, "target-dialog": fragDialog,
}

// appendFrag appends a part of a SIP message (RFC 3420): its start line and the fields that say what became of a call. A body in it does
// not pass.
func (k *Mask) appendFrag(dst, text []byte) []byte {
	kind := fragText // of the line before
	for n := 0; len(text) > 0; n++ {
		line := text
		if i := bytes.IndexByte(text, '\n'); i >= 0 {
			line = text[:i+1]
		}
		text = text[len(line):]
		if len(bytes.TrimSpace(line)) == 0 {
			if dst = append(dst, line...); k.in {
				dst = append(dst, text...)
			}
			return dst
		}
		switch name, value, found := bytes.Cut(line, []byte{':'}); {
		case line[0] == ' ' || line[0] == '\t':
			if kind == fragDialog && !k.in { // its Call-ID stands there, or what nobody needs
				continue
			}
		case n == 0 && (!found || bytes.IndexByte(name, ' ') >= 0): // the start line
			dst = k.appendStart(dst, line)
			continue
		default:
			if kind = kindOfField(bytes.TrimSpace(name)); kind == fragDialog {
				dst = k.appendDialog(append(append(dst, name...), ':'), value)
				continue
			}
		}
		switch {
		case kind == fragReason && !k.in:
			dst = appendCause(dst, line)
		case kind != fragGone || k.in:
			dst = k.appendURIs(dst, line, kind == fragTargets)
		}
	}
	return dst
}

// appendCause appends of a Reason field (RFC 3326) the protocol and cause of the first reason: its text is for people. A folded line has none.
func appendCause(dst, line []byte) []byte {
	if line[0] == ' ' || line[0] == '\t' {
		return dst
	}
	return append(appendReason(dst, line), "\r\n"...)
}

// appendReason is appendCause for a Reason that is not a line.
func appendReason(dst, reason []byte) []byte {
	protocol, params, _ := bytes.Cut(reason, []byte{';'})
	dst = append(dst, bytes.TrimSpace(protocol)...)
	for param := range bytes.SplitSeq(params, []byte{';'}) {
		name, value, _ := bytes.Cut(param, []byte{'='})
		if cause, err := strconv.Atoi(string(bytes.TrimSpace(value))); err == nil && sip.EqualFold(bytes.TrimSpace(name), []byte("cause")) {
			return strconv.AppendInt(append(dst, ";cause="...), int64(cause), 10)
		}
	}
	return dst
}

func kindOfField(name []byte) fragKind {
	var room [24]byte
	if len(name) > len(room) {
		return fragGone
	}
	return fragFields[string(sip.AppendLower(room[:0], name))]
}

// appendDialog appends a value that begins with a Call-ID.
func (k *Mask) appendDialog(dst, value []byte) []byte {
	whole := sip.Span{End: uint32(len(value))}
	for whole.Start < whole.End && (value[whole.Start] == ' ' || value[whole.Start] == '\t') {
		whole.Start++
	}
	id := callIDOf(value, whole)
	dst = append(dst, value[:id.Start]...)
	if id.Len() > 0 {
		dst = k.otherID(dst, id.Of(value), toTag(value[id.End:]))
	}
	return append(dst, value[id.End:]...)
}

// appendStart appends the start line of a message, in the way out with the reason phrase of the RFC.
func (k *Mask) appendStart(dst, line []byte) []byte {
	const code, text = len("SIP/2.0 "), len("SIP/2.0 200")
	if !k.in && len(line) > text && bytes.HasPrefix(line, []byte("SIP/2.0 ")) {
		if status, err := strconv.Atoi(string(line[code:text])); err == nil {
			dst = append(append(append(dst, line[:text]...), ' '), sip.StatusText(status)...)
			return append(dst, '\r', '\n')
		}
	}
	return k.appendURIs(dst, line, false)
}
