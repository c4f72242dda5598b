package topo

import (
	"bytes"

	"github.com/ringwall/ringwall/sip"
)

// dialog hides the Call-ID at the start of field i: Replaces, Join, Target-Dialog (RFC 3891, RFC 3911, RFC 4538). One that names no dialog goes.
func (k *Mask) dialog(i int) {
	value := k.msg.Fields[i].Value
	id := callIDOf(k.msg.Raw, value)
	if id.Len() == 0 {
		k.edit.Remove(i)
		return
	}
	value.Start = id.End
	params := value.Of(k.msg.Raw)
	k.value = k.outID(k.value[:0], id.Of(k.msg.Raw), toTag(params))
	if !named(params) {
		k.value = appendNaming(k.value, params)
		id = k.msg.Fields[i].Value
	}
	k.edit.ReplaceSpan(i, id, k.value)
}

// naming are the parameters by which fields name a dialog besides its Call-ID.
var naming = [...]string{"to-tag", "from-tag", "early-only", "local-tag", "remote-tag"}

// named reports whether params, what follows a Call-ID, has nothing but those.
func named(params []byte) bool {
	for param := range bytes.SplitSeq(params, []byte{';'}) {
		if name, _, _ := bytes.Cut(param, []byte{'='}); len(bytes.TrimSpace(param)) > 0 && !listed(bytes.TrimSpace(name), naming[:]) {
			return false
		}
	}
	return true
}

// appendNaming appends those alone.
func appendNaming(dst, params []byte) []byte {
	for param := range bytes.SplitSeq(params, []byte{';'}) {
		if name, _, _ := bytes.Cut(param, []byte{'='}); listed(bytes.TrimSpace(name), naming[:]) {
			dst = append(append(dst, ';'), bytes.TrimSpace(param)...)
		}
	}
	return dst
}

// callIDOf is the Call-ID at the start of value.
func callIDOf(raw []byte, value sip.Span) sip.Span {
	b := value.Of(raw)
	if i := bytes.IndexByte(b, ';'); i >= 0 {
		b = b[:i]
	}
	n := len(bytes.TrimRight(b, " \t\r\n"))
	return sip.Span{Start: value.Start, End: value.Start + uint32(n)}
}

// toTag is the value of to-tag in the parameters behind the Call-ID of a Replaces or Join: the tag of who gets it.
func toTag(params []byte) []byte {
	for param := range bytes.SplitSeq(params, []byte{';'}) {
		name, value, _ := bytes.Cut(bytes.TrimSpace(param), []byte{'='})
		if sip.EqualFold(bytes.TrimSpace(name), []byte("to-tag")) {
			return bytes.TrimSpace(value)
		}
	}
	return nil
}

// outID appends what the party outside that has this tag knows the dialog with that Call-ID by; no tag: any party.
func (k *Mask) outID(dst, callID, tag []byte) []byte {
	if !k.cfg.CallID {
		return append(dst, callID...)
	}
	if k.leg.Knows != nil {
		switch key, known := k.leg.Knows(callID, tag); {
		case known && key == 0:
			return append(dst, callID...)
		case known:
			return k.AppendCallID(dst, callID, key)
		}
	}
	key, _ := k.keys.Active()
	return k.AppendCallID(dst, callID, key)
}

// inReplyTo hides each Call-ID of the list in field i (RFC 3261 §20.21).
func (k *Mask) inReplyTo(i int) {
	value := k.msg.Fields[i].Value.Of(k.msg.Raw)
	k.value = k.value[:0]
	for id := range bytes.SplitSeq(value, []byte{','}) {
		if len(k.value) > 0 {
			k.value = append(k.value, ", "...)
		}
		k.value = k.outID(k.value, bytes.TrimSpace(id), nil)
	}
	k.edit.Replace(i, k.value)
}
