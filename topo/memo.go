package topo

import "encoding/binary"

// A Memo is what became of a Contact: a head, the tag, the Call-ID and the URI that its token was made of, and the token. Where all of it comes again, so
// does the token, and need not be sealed: the 200 to an INVITE mostly has the Contact of the 180 before.
type Memo []byte

const (
	memoHead = 12
	mostMemo = 256 // bytes of what a token is made of; of more no memo is kept
)

// token is the token that m holds for uri on leg, which has this head; nil if it is another one's.
func (m Memo) token(head [memoHead]byte, leg *Leg, uri []byte) []byte {
	rest, of := []byte(m), len(leg.Tag)+len(leg.CallID)+len(uri)
	if len(rest) <= memoHead+of || [memoHead]byte(rest) != head {
		return nil
	}
	rest = rest[memoHead:]
	tag, rest := rest[:len(leg.Tag)], rest[len(leg.Tag):]
	callID, rest := rest[:len(leg.CallID)], rest[len(leg.CallID):]
	if string(tag) != string(leg.Tag) || string(callID) != string(leg.CallID) || string(rest[:len(uri)]) != string(uri) {
		return nil
	}
	return rest[len(uri):]
}

// appendKnown is appendTarget, which it asks if the memo of leg does not know the token, and notes it there.
func (k *Mask) appendKnown(dst, uri []byte, leg *Leg) []byte {
	if leg.Memo == nil || len(leg.Tag)+len(leg.CallID)+len(uri) > mostMemo {
		return k.appendTarget(dst, uri, leg)
	}
	id, _ := k.keys.Active() // asked first: if it is another one when the token is sealed, the memo will not be believed
	head := [memoHead]byte{id, byte(weekOf(leg.At))}
	binary.LittleEndian.PutUint16(head[2:], uint16(len(leg.Tag)))
	binary.LittleEndian.PutUint16(head[4:], uint16(len(leg.CallID)))
	binary.LittleEndian.PutUint16(head[6:], uint16(len(uri)))
	binary.LittleEndian.PutUint32(head[8:], leg.Salt)
	if token := leg.Memo.token(head, leg, uri); token != nil {
		return append(dst, token...)
	}
	at := len(dst)
	dst = k.appendTarget(dst, uri, leg)
	memo := append(append((*leg.Memo)[:0], head[:]...), leg.Tag...)
	*leg.Memo = append(append(append(memo, leg.CallID...), uri...), dst[at:]...)
	return dst
}
