package topo

import (
	"bytes"

	"github.com/ringwall/ringwall/sip"
)

// Inward adds to e what puts the tokens of ours in m right, a request that goes from outside to inside on leg: the Call-ID of its dialog, and
// the dialogs and targets that fields name. Request-URI, Route and the parties' hosts are proxy's, which knows the route token.
func (k *Mask) Inward(e *sip.Edit, m *sip.Message, leg *Leg) {
	k.edit, k.msg, k.leg, k.in = e, m, leg, true
	for i := range m.Fields {
		switch f := &m.Fields[i]; f.ID {
		case sip.FieldCallID:
			if leg.Masked {
				e.Replace(i, leg.CallID)
			}
		case sip.FieldReferTo:
			k.referred(i)
		case sip.FieldEvent:
			k.event(i)
		case sip.FieldReplaces:
			k.dialogIn(i)
		case sip.FieldOther:
			k.otherIn(i)
		}
	}
}

func (k *Mask) otherIn(i int) {
	name := k.msg.Fields[i].Name.Of(k.msg.Raw)
	switch {
	case len(name) == len("Join") && sip.EqualFold(name, []byte("Join")),
		len(name) == len("Target-Dialog") && sip.EqualFold(name, []byte("Target-Dialog")):
		k.dialogIn(i)
	case len(name) == len("In-Reply-To") && sip.EqualFold(name, []byte("In-Reply-To")):
		k.inReplyToIn(i)
	case len(name) == len("SIP-If-Match") && sip.EqualFold(name, []byte("SIP-If-Match")),
		len(name) == len("Suppress-If-Match") && sip.EqualFold(name, []byte("Suppress-If-Match")):
		k.etagIn(i)
	case len(name) == len("SIP-ETag") && sip.EqualFold(name, []byte("SIP-ETag")):
		k.etagFrom(i)
	}
}

// dialogIn puts the Call-ID at the start of field i right.
func (k *Mask) dialogIn(i int) {
	id := callIDOf(k.msg.Raw, k.msg.Fields[i].Value)
	var ok bool
	if k.value, ok = k.CallID(k.value[:0], id.Of(k.msg.Raw)); ok {
		k.edit.ReplaceSpan(i, id, k.value)
	}
}

func (k *Mask) inReplyToIn(i int) {
	k.value = k.value[:0]
	changed := false
	for id := range bytes.SplitSeq(k.msg.Fields[i].Value.Of(k.msg.Raw), []byte{','}) {
		if len(k.value) > 0 {
			k.value = append(k.value, ", "...)
		}
		id = bytes.TrimSpace(id)
		var ok bool
		if k.value, ok = k.CallID(k.value, id); !ok {
			k.value = append(k.value, id...)
		}
		changed = changed || ok
	}
	if changed {
		k.edit.Replace(i, k.value)
	}
}

// inID appends what inside knows the dialog with that Call-ID by.
func (k *Mask) inID(dst, callID, _ []byte) []byte {
	if out, ok := k.CallID(dst, callID); ok {
		return out
	}
	return append(dst, callID...)
}
