package transaction

import (
	"bytes"
	"fmt"
	"math/rand/v2"
	"testing"
	"time"

	"github.com/ringwall/ringwall/edge"
	"github.com/ringwall/ringwall/sip"
)

// A play is a table to which anything happens in any order, and what has to be true of it whatever that is: who sees which response, who is
// acknowledged and cancelled, that no transaction shows the bytes of another, and that nothing of any of them is left in the end.
type play struct {
	t     *testing.T
	table *Table
	now   time.Time
	all   []*role
	next  uint64
}

// A role is one transaction, as both ends see it.
type role struct {
	key     uint64
	id      ID
	method  sip.Method
	request []byte // as sent last
	ack     []byte
	last    []byte // what the client got last
	gone    bool

	answered bool // by a provisional response of the target
	final    int  // the first final status for the client; 0: none yet
	accepted bool // a 2xx went to the client
	own      bool // final is the edge's
	acked    bool // the client has acknowledged final
	held     bool // final is held back
	wanted   bool // the client cancels
	sent     bool // so the target has been told
}

// String is what has happened to r.
func (r *role) String() string {
	return fmt.Sprintf("%v, answered %v, final %d, accepted %v, own %v, acked %v, held %v, wanted %v, sent %v", r.method, r.answered, r.final,
		r.accepted, r.own, r.acked, r.held, r.wanted, r.sent)
}

func (r *role) invite() bool { return r.method == sip.INVITE }

// name marks bytes as those of r, n of them at least.
func (r *role) name(what string, n int) []byte {
	b := fmt.Appendf(nil, "%d %s ", r.key, what)
	return append(b, bytes.Repeat([]byte{'.'}, max(0, n-len(b)))...)
}

// sizes are those of messages: what fills a buffer exactly, too.
var sizes = [...]int{20, 255, 256, 300, 511, 512, 1024, 2048, 5000, 40000}

var statuses = [...]int{100, 180, 183, 200, 202, 302, 404, 486, 503, 603}

func (p *play) step(op, of, with byte) {
	defer p.look()
	switch op % 10 {
	case 0:
		p.begin(with)
	case 5:
		p.pass([...]time.Duration{time.Millisecond, 90 * time.Millisecond, 600 * time.Millisecond, 4 * time.Second, 31 * time.Second, 200 * time.Second}[with%6])
	case 9:
		cfg := DefaultConfig()
		cfg.T1, cfg.Linger, cfg.C = [...]time.Duration{20 * time.Millisecond, 500 * time.Millisecond}[with%2], [...]time.Duration{32 * time.Second, time.Second}[with/2%2], [...]time.Duration{185 * time.Second, 2 * time.Second}[with/4%2]
		if err := p.table.Configure(cfg); err != nil {
			p.t.Fatal(err)
		}
	default:
		if len(p.all) == 0 {
			return
		}
		r := p.all[int(of)%len(p.all)]
		tx := p.table.FindID(r.id)
		if (tx == nil) != r.gone {
			p.t.Fatalf("%d is on record: %v, gone: %v", r.key, tx != nil, r.gone)
		}
		if tx == nil {
			return
		}
		p.happens(tx, r, op%10, with)
		p.shows(tx, r)
		tx.Unlock()
		p.see(r)
	}
}

// look holds that all show what is their own, whatever has happened to others.
func (p *play) look() {
	for _, r := range p.all {
		if tx := p.table.FindID(r.id); tx != nil {
			p.shows(tx, r)
			tx.Unlock()
		}
	}
}

// see notes whether r is off the record now, which it may be at once.
func (p *play) see(r *role) { r.gone = !p.table.Has(r.key) }

func (p *play) begin(with byte) {
	p.next++
	r := &role{key: p.next*0x9e3779b97f4a7c15>>4 | p.next%2<<60, method: [...]sip.Method{sip.INVITE, sip.INVITE, sip.BYE}[with%3]}
	tx, found, err := p.table.Begin(r.key, with&8 == 0)
	if err != nil || found {
		p.t.Fatalf("begin: found %v, %v", found, err)
	}
	tx.Method, tx.Movable = r.method, with&16 != 0
	tx.Quiet = with&32 != 0
	if with&64 != 0 {
		tx.Client.Transport = edge.TCP
	}
	if with&128 != 0 {
		tx.Target.Transport = edge.TCP
	}
	tx.Keep(r.name("vias", 20), r.name("route", 20), r.name("extra", sizes[with%7]))
	p.sends(tx, r, with)
	tx.Unlock()
	p.all = append(p.all, r)
}

func (p *play) sends(tx *Tx, r *role, with byte) {
	r.id, r.request = tx.ID(), r.name("request", sizes[int(with)%len(sizes)])
	tx.Sent(r.request, p.now)
}

// happens is what one message, or one failure, does to tx.
func (p *play) happens(tx *Tx, r *role, op, with byte) {
	switch op {
	case 1, 2, 3:
		p.response(tx, r, statuses[int(with)%len(statuses)], with)
	case 4: // ACK of the client; one that comes before any final response finds none to acknowledge
		if tx.ACK(); r.invite() && r.final >= 300 && !r.accepted {
			r.acked, r.last = true, nil // of a response that is held back, too: who has guessed it gets none
		}
	case 6:
		now := tx.Cancel(p.now)
		if may := r.invite() && r.final == 0; now && (!may || !r.answered || r.sent) {
			p.t.Fatalf("%d: CANCEL is sent: %v", r.key, r)
		} else if may {
			r.wanted, r.sent = true, r.sent || now
		}
	case 7:
		tx.CancelAnswered()
	case 8: // the request can't reach its target
		if tx.State != Calling {
			return
		}
		if tx.Movable && with&1 == 0 {
			old := r.id
			tx.Retarget()
			p.sends(tx, r, with)
			if r.id == old {
				p.t.Fatalf("%d has its old id", r.key)
			}
			return
		}
		tx.Final(p.now)
		p.ends(tx, r, 503, with)
		r.own = true
	}
}

// ends hands the client a final response.
func (p *play) ends(tx *Tx, r *role, status int, with byte) {
	r.final, r.last = status, r.name("final", sizes[int(with)%len(sizes)])
	if tx.Relayed(r.last); status < 300 && r.invite() {
		r.last = nil
	}
}

// response is one of the target.
func (p *play) response(tx *Tx, r *role, status int, with byte) {
	step, want := tx.Response(status, p.now), Absorb
	switch {
	case status < 200 && r.final != 0, status < 200 && !r.invite():
	case status == 100:
		if want = Absorb; step == Trying && !tx.Quiet && !r.answered {
			want = Trying
		}
	case status < 200:
		want = Relay
	case !r.invite():
		if r.final == 0 {
			want = Relay
		}
	case status < 300:
		want = Relay // RFC 3261 §16.7 step 5: each of them
	case r.final == 0:
		want = RelayAndAck
	case r.accepted:
		if step == AckAgain { // one that was refused first, and acknowledged; its ACK may have been lost
			want = AckAgain
		}
	case r.own && r.ack == nil:
		want = Ack
	default:
		want = AckAgain
	}
	if step != want {
		p.t.Fatalf("%d: %d asks for %v, want %v: %v", r.key, status, step, want, r)
	}
	r.answered = r.answered || status < 200
	switch step {
	case Trying:
		r.last = r.name("trying", 60)
		tx.Relayed(r.last)
	case Relay, RelayAndAck:
		if status < 200 {
			r.last = r.name("provisional", sizes[int(with)%len(sizes)])
			tx.Relayed(r.last)
			break
		}
		if r.invite() && status < 300 { // what was held back will not be missed
			r.accepted, r.last = true, nil
		}
		if r.final == 0 {
			p.ends(tx, r, status, with)
		} else {
			tx.Relayed(r.name("further", 60))
		}
	}
	if step == RelayAndAck || step == Ack {
		r.ack = r.name("ack", sizes[int(with/2)%len(sizes)])
		tx.KeepACK(r.ack)
	}
	if step == AckAgain && !bytes.Equal(tx.Request(), r.ack) {
		p.t.Fatalf("%d: acknowledged again with %.40q", r.key, tx.Request())
	}
	if step == RelayAndAck && with&64 != 0 {
		tx.Hold(p.now.Add(300 * time.Millisecond))
		r.held = true
	}
	if tx.CancelHeld(p.now) {
		if !r.wanted || r.sent || !r.answered || r.final != 0 {
			p.t.Fatalf("%d: the CANCEL that waited is sent: %v", r.key, r)
		}
		r.sent = true
	}
	if r.wanted && r.answered && !r.sent && r.final == 0 {
		p.t.Fatalf("%d: the CANCEL is not sent: %v", r.key, r)
	}
}

// shows holds that what tx shows is its own.
func (p *play) shows(tx *Tx, r *role) {
	vias, route, extra := tx.Back()
	if r.invite() && (!bytes.HasPrefix(vias, r.name("vias", 0)) || !bytes.HasPrefix(route, r.name("route", 0)) || !bytes.HasPrefix(extra, r.name("extra", 0))) {
		p.t.Fatalf("%d comes back by %.40q %.40q %.40q", r.key, vias, route, extra)
	}
	if b := tx.Request(); len(b) > 0 && !bytes.Equal(b, r.request) && !bytes.Equal(b, r.ack) {
		p.t.Fatalf("%d asks for %.40q", r.key, b)
	}
	if b := tx.Last(); len(b) > 0 && (r.held || !bytes.Equal(b, r.last)) {
		p.t.Fatalf("%d: its client gets %.40q, want %.40q (held: %v)", r.key, b, r.last, r.held)
	}
}

// pass lets time go by, a tick or more at once, and does what timers ask for.
func (p *play) pass(d time.Duration) {
	p.now = p.now.Add(d)
	for i := range p.table.Shards() {
		for {
			tx, task := p.table.Due(i, p.now)
			if tx == nil {
				break
			}
			p.fires(tx, task)
		}
	}
	pending := 0
	for _, r := range p.all {
		if p.see(r); !r.gone && r.final == 0 {
			pending++
		}
	}
	if pending != p.table.Pending() {
		p.t.Fatalf("%d are pending, the table says %d", pending, p.table.Pending())
	}
}

// fires does what a timer asks for.
func (p *play) fires(tx *Tx, task Task) {
	var r *role
	for _, one := range p.all {
		if one.key == tx.Key() {
			r = one
		}
	}
	fail := func(why string) { p.t.Fatalf("%d: %s: %v", r.key, why, r) }
	switch task {
	case ResendRequest:
		if r.final != 0 || r.answered && r.invite() || tx.Target.Transport.Stream() || !bytes.Equal(tx.Request(), r.request) {
			fail("the request is sent again")
		}
	case ResendReply:
		if !r.invite() || r.final < 300 || r.accepted || r.acked || r.held || tx.Client.Transport.Stream() || !bytes.Equal(tx.Last(), r.last) {
			fail("the refusal is sent again")
		}
	case ResendCancel:
		if !r.sent || r.final != 0 || tx.Target.Transport.Stream() || !bytes.Equal(tx.Request(), r.request) {
			fail("the CANCEL is sent again")
		}
	case CancelNow: // Timer C
		if r.sent || r.final != 0 || !r.answered || !r.invite() || !bytes.Equal(tx.Request(), r.request) {
			fail("Timer C cancels")
		}
		r.sent = true
	case SendTrying:
		if r.final != 0 {
			fail("our 100 is sent")
		}
		r.last = r.name("trying", 60)
		tx.Relayed(r.last)
	case MoveOn:
		if r.final != 0 || r.wanted || r.answered || !r.invite() {
			fail("it moves on")
		}
		tx.Retarget()
		p.sends(tx, r, 0)
	case Release:
		if !r.held {
			fail("it is released")
		}
		if r.held = false; len(r.last) > 0 && !bytes.Equal(tx.Last(), r.last) {
			fail("something else is released")
		}
	case Timeout:
		if r.final != 0 {
			fail("it has timed out")
		}
		if status := tx.Status(); status != 0 {
			tx.Final(p.now)
			p.ends(tx, r, status, byte(r.key))
			r.own = true
		}
	}
	p.shows(tx, r)
	tx.Unlock()
	p.see(r)
}

// over holds that nothing of anything is left once all time-outs are over.
func (p *play) over() {
	for range 12 {
		p.pass(100 * time.Second)
	}
	if p.table.Len() != 0 || p.table.Untrusted() != 0 || p.table.Pending() != 0 {
		p.t.Fatalf("%d transactions, %d of strangers, %d pending are left", p.table.Len(), p.table.Untrusted(), p.table.Pending())
	}
	for i := range p.table.shards {
		s := &p.table.shards[i]
		if s.bytes != [2]int{} || s.byKey.Len() != 0 || s.shelf.n != 0 || len(s.idle) != len(s.working) || len(s.free) != len(s.slots) {
			p.t.Fatalf("shard %d: %v bytes, %d keys, %d on the shelf, %d of %d idle, %d of %d slots free", i, s.bytes, s.byKey.Len(), s.shelf.n,
				len(s.idle), len(s.working), len(s.free), len(s.slots))
		}
	}
}

// FuzzPlay: three bytes for each thing that happens. See play.
func FuzzPlay(f *testing.F) {
	const begin, respond, ack, wait, cancel, fail = 0, 1, 4, 5, 6, 8
	f.Add([]byte{begin, 0, 0, respond, 0, 1, respond, 0, 3, wait, 0, 2, respond, 0, 3})       // accepted
	f.Add([]byte{begin, 0, 0, respond, 0, 7, ack, 0, 0, respond, 0, 3, respond, 0, 7})        // refused, then a late 2xx
	f.Add([]byte{begin, 0, 0, cancel, 0, 0, respond, 0, 0, wait, 0, 2, respond, 0, 7})        // cancelled before the 100
	f.Add([]byte{begin, 0, 0, respond, 0, 77, wait, 0, 1, wait, 0, 2, wait, 0, 2, ack, 0, 0}) // held back
	f.Add([]byte{begin, 0, 16, wait, 0, 3, fail, 0, 0, fail, 0, 1, respond, 0, 7})            // moves on, and fails
	f.Add([]byte{begin, 0, 2, respond, 0, 1, wait, 0, 3, respond, 0, 3, respond, 0, 3})       // no INVITE
	f.Add([]byte{begin, 0, 0, respond, 0, 1, wait, 0, 5, wait, 0, 4, respond, 0, 7})          // Timer C
	f.Fuzz(func(t *testing.T, b []byte) {
		p := &play{t: t, table: newTable(t, nil), now: epoch}
		for ; len(b) >= 3 && len(p.all) < 200; b = b[3:] {
			p.step(b[0], b[1], b[2])
		}
		p.over()
	})
}

// TestPlay plays at random.
func TestPlay(t *testing.T) {
	for n := range uint64(200) {
		random := rand.New(rand.NewPCG(1, n))
		p := &play{t: t, table: newTable(t, nil), now: epoch}
		for range 150 {
			p.step(byte(random.Uint32()), byte(random.Uint32()), byte(random.Uint32()))
		}
		p.over()
	}
}
