package replay

import (
	"encoding/binary"
	"net/netip"
	"time"

	"github.com/ringwall/ringwall/binding"
	"github.com/ringwall/ringwall/edge"
	"github.com/ringwall/ringwall/meter"
	"github.com/ringwall/ringwall/sip"
)

// What the running edge knows from its transactions, tokens and bindings is found here by what both sides sent: the same questions with the
// same answers, over a capture. All of it is bounded.
const (
	maxTransactions = 1 << 17
	maxDialogs      = 1 << 16

	life       = 32 * time.Second // of a transaction after its last news: 64*T1
	inviteLife = 3 * time.Minute  // of an INVITE that rings: timer C
	dialogLife = 24 * time.Hour
	usualLife  = time.Hour // of a registration that nobody gave a length
)

// A tables holds what belongs together.
type tables struct {
	key     meter.Key
	txs     ring[transaction]
	dialogs ring[dialog]
	scratch []byte
}

// A transaction is one request and what became of it.
type transaction struct {
	asked   edge.Asked
	until   int64       // it is on record
	status  int         // of its final answer, 0: none yet
	contact uint64      // REGISTER: the first Contact URI, hashed
	life    int64       // REGISTER: what was asked for
	refused edge.Reason // the edge would not have passed it on: what follows from it would not have happened
}

// A dialog is one between outside and inside.
type dialog struct {
	until   int64
	refused edge.Reason
}

func newTables(key meter.Key) *tables {
	return &tables{key: key, txs: newRing[transaction](maxTransactions), dialogs: newRing[dialog](maxDialogs)}
}

// transaction is the hash of what names the transaction of m, a request or a response, with the party at a outside; by is who began it. ACK
// and CANCEL get that of their INVITE. RFC 2543 has no branches; there a response names less than RFC 3261 §17.2.3 compares.
func (t *tables) transaction(a netip.Addr, by edge.Side, m *sip.Message) uint64 {
	addr := a.As16()
	b := append(append(t.scratch[:0], addr[:]...), byte(by))
	if method := m.CSeq.Method; method == sip.ACK || method == sip.CANCEL {
		b = append(b, "INVITE"...)
	} else {
		b = append(b, m.CSeq.MethodName.Of(m.Raw)...)
	}
	if m.Via.Cookie(m.Raw) {
		b = append(append(b, '\n'), m.Via.Branch.Of(m.Raw)...)
	} else {
		b = binary.BigEndian.AppendUint32(b, m.CSeq.Number)
		b = append(append(b, '\n'), m.FromTag.Of(m.Raw)...)
		b = append(append(b, '\n'), m.CallID.Of(m.Raw)...)
	}
	b = append(append(b, '\n'), m.Via.SentBy.Of(m.Raw)...)
	t.scratch = b
	return t.key.Bytes(b)
}

// find returns the transaction of that key; nil: it is not on record.
func (t *tables) find(key uint64, at time.Time) *transaction {
	if one := t.txs.find(key); one != nil && at.UnixNano() < one.until {
		return one
	}
	return nil
}

// keep puts a request on record.
func (t *tables) keep(key uint64, x *edge.Exchange, refused edge.Reason) {
	m := x.Msg
	until := x.At.Add(life)
	if m.Method == sip.INVITE {
		until = x.At.Add(inviteLife)
	}
	one := t.txs.enter(key)
	*one = transaction{asked: x.Asked, until: until.UnixNano(), refused: refused}
	if m.Method == sip.REGISTER {
		one.contact, one.life = t.contact(m)
	}
	if m.Method == sip.INVITE && refused != "" { // some write the ACK with a branch of its own
		*t.txs.enter(t.call(x.From.Remote.Addr(), m)) = transaction{until: until.UnixNano(), refused: refused}
	}
}

// call is the hash of what names the INVITE of m, or of the ACK for it, whatever its branch.
func (t *tables) call(a netip.Addr, m *sip.Message) uint64 {
	addr := a.As16()
	b := append(append(t.scratch[:0], addr[:]...), m.CallID.Of(m.Raw)...)
	b = binary.BigEndian.AppendUint32(append(b, '\n'), m.CSeq.Number)
	t.scratch = append(b, m.FromTag.Of(m.Raw)...)
	return t.key.Bytes(t.scratch)
}

// contact returns the first Contact of a REGISTER, hashed, and for how long it wants to be bound.
func (t *tables) contact(m *sip.Message) (h uint64, wanted int64) {
	i := m.Find(sip.FieldContact)
	if i < 0 {
		return 0, 0
	}
	for a := range sip.Addresses(m.Raw, m.Fields[i].Value) {
		given, _ := a.Param(m.Raw, "expires")
		return t.key.Bytes(a.URI.Of(m.Raw)), int64(binding.Expires(given.Of(m.Raw), m.Value(sip.FieldExpires), usualLife))
	}
	return 0, 0
}

// final notes the final answer to a transaction. False: there was one before.
func (t *tables) final(one *transaction, m *sip.Message, at time.Time) bool {
	if one.status != 0 {
		return false
	}
	one.status, one.until = m.Status, at.Add(life).UnixNano()
	return true
}

// dialog is the hash of what names the dialog of m, in whichever direction it goes.
func (t *tables) dialog(m *sip.Message) uint64 {
	tags := t.key.Bytes(m.FromTag.Of(m.Raw)) + t.key.Bytes(m.ToTag.Of(m.Raw))
	return t.key.Words(t.key.Bytes(m.CallID.Of(m.Raw)), tags)
}

// begins notes the dialog that m, a response to a request, begins; refused if the edge had not passed the request on.
func (t *tables) begins(m *sip.Message, refused edge.Reason, at time.Time) {
	switch m.CSeq.Method {
	case sip.INVITE, sip.SUBSCRIBE, sip.REFER:
	default:
		return
	}
	if m.Status <= 100 || m.Status >= 300 || !m.ToTag.Present() || !m.FromTag.Present() {
		return
	}
	one := t.dialogs.enter(t.dialog(m))
	if at.UnixNano() >= one.until {
		*one = dialog{refused: refused}
	}
	one.until = at.Add(dialogLife).UnixNano()
}

// within returns the dialog that a request belongs to; nil: none.
func (t *tables) within(m *sip.Message, at time.Time) *dialog {
	if !m.ToTag.Present() {
		return nil
	}
	if one := t.dialogs.find(t.dialog(m)); one != nil && at.UnixNano() < one.until {
		return one
	}
	return nil
}

// granted is for how long m, a 2xx to the REGISTER one, registers the Contact that was asked for.
func (t *tables) granted(one *transaction, m *sip.Message) time.Duration {
	if m.Find(sip.FieldContact) < 0 {
		return 0
	}
	for i := m.Find(sip.FieldContact); i >= 0; i = m.Next(sip.FieldContact, i) {
		for a := range sip.Addresses(m.Raw, m.Fields[i].Value) {
			if t.key.Bytes(a.URI.Of(m.Raw)) == one.contact {
				given, _ := a.Param(m.Raw, "expires")
				return binding.Expires(given.Of(m.Raw), m.Value(sip.FieldExpires), time.Duration(one.life))
			}
		}
	}
	return time.Duration(one.life)
}

// A ring keeps the last so many of things by their hashes: of what does not fit the one that came first goes. It grows by whole pages, so that
// what find returned stays where it is.
type ring[V any] struct {
	index map[uint64]uint32
	pages [][]slot[V]
	n     int
	next  int
	most  int
}

type slot[V any] struct {
	key uint64
	v   V
}

const pageBits = 10

func newRing[V any](most int) ring[V] { return ring[V]{index: map[uint64]uint32{}, most: most} }

func (r *ring[V]) slot(i int) *slot[V] { return &r.pages[i>>pageBits][i&(1<<pageBits-1)] }

// find returns the entry of key, to be read or changed until it has to go; nil: there is none.
func (r *ring[V]) find(key uint64) *V {
	if i, known := r.index[key]; known {
		return &r.slot(int(i)).v
	}
	return nil
}

// enter returns the entry of key, a new and zero one if there is none.
func (r *ring[V]) enter(key uint64) *V {
	if one := r.find(key); one != nil {
		return one
	}
	i := r.n
	if i == r.most {
		i = r.next
		r.next = (i + 1) % r.most
		delete(r.index, r.slot(i).key)
	} else {
		if i>>pageBits == len(r.pages) {
			r.pages = append(r.pages, make([]slot[V], 1<<pageBits))
		}
		r.n++
	}
	one := r.slot(i)
	*one = slot[V]{key: key}
	r.index[key] = uint32(i)
	return &one.v
}
