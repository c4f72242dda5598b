package topo

import (
	"bytes"

	"github.com/ringwall/ringwall/seal"
	"github.com/ringwall/ringwall/sip"
)

// Entity-tags (RFC 3903, RFC 5839) are made of when a server was started, its process and a count. Each side knows those of the other as tokens
// and gives them back as such, so that what comes back shows whose it is: a tag of a server inside never meets anybody outside, whoever a
// platform sends the next PUBLISH to.

// anyTag in Suppress-If-Match means any entity-tag.
var anyTag = []byte("*")

// sealed gives field i a token of use in the place of its entity-tag.
func (k *Mask) sealed(i int, use *seal.Use) {
	k.value = use.Seal(k.value[:0], k.msg.Fields[i].Value.Of(k.msg.Raw))
	k.edit.Replace(i, k.value)
}

// opened puts the entity-tag in field i right, if it is a token of use.
func (k *Mask) opened(i int, use *seal.Use) bool {
	var err error
	if k.value, err = use.Open(k.value[:0], k.msg.Fields[i].Value.Of(k.msg.Raw)); err != nil {
		return false
	}
	k.edit.Replace(i, k.value)
	return true
}

// etag hides the entity-tag of a server inside in field i.
func (k *Mask) etag(i int) { k.sealed(i, k.etags) }

// etagBack gives outside its own entity-tag in field i back. Any other is of a server inside.
func (k *Mask) etagBack(i int) {
	if !bytes.Equal(k.msg.Fields[i].Value.Of(k.msg.Raw), anyTag) && !k.opened(i, k.etagsIn) {
		k.sealed(i, k.etags)
	}
}

// etagIn gives inside its own entity-tag in field i back.
func (k *Mask) etagIn(i int) { k.opened(i, k.etags) }

// etagFrom marks an entity-tag of outside in field i as such; if it is one of inside that comes back, it is put right.
func (k *Mask) etagFrom(i int) {
	if !k.opened(i, k.etags) {
		k.sealed(i, k.etagsIn)
	}
}

// Returned adds to e what marks the entity-tags of outside in m, a response that goes from outside to inside on leg, and puts right where it redirects to
// by tokens of ours.
func (k *Mask) Returned(e *sip.Edit, m *sip.Message, leg *Leg) {
	k.edit, k.msg, k.leg, k.in = e, m, leg, true
	for i := range m.Fields {
		switch f := &m.Fields[i]; {
		case f.ID == sip.FieldOther && sip.Spells(f.Name.Of(m.Raw), "sip-etag"):
			k.etagFrom(i)
		case f.ID == sip.FieldContact && m.Status/100 == 3:
			k.redirected(i)
		}
	}
}
