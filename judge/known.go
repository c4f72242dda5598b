package judge

import (
	"net/netip"
	"sync/atomic"
	"time"

	"github.com/ringwall/ringwall/edge"
	"github.com/ringwall/ringwall/meter"
	"github.com/ringwall/ringwall/sip"
	"github.com/ringwall/ringwall/state"
)

// KnownFor is how long the platform's accepting a user from a source is remembered.
const KnownFor = 30 * 24 * time.Hour

// known remembers pairs, how many each source has, and from which flow each was accepted last.
type known struct {
	pairs   *meter.Table[pair] // by the hash of user and source together
	homes   *meter.Table[home]
	flows   *meter.Table[uint32]                  // by the hash of address and port: the minute in which a pair was last accepted from there
	names   *meter.Table[name]                    // who is behind a pair, for operators
	nets    *meter.Table[uint32]                  // by the hash of user and network together: the minute in which he was accepted there, to the day
	journal atomic.Pointer[state.Journal[uint64]] // nil: nobody keeps them
}

type pair struct {
	source uint64 // that it counts for; 0: none, since another one's password came with it
	flow   uint64 // over UDP, that it was last accepted from; 0: none
	day    uint32 // on which the journal was last told
	minute uint32 // on which it was last seen
	login  uint32 // loginOf what it was accepted with
}

// The login of a pair that was accepted with the user's own name, and that of pairs from before a restart, and of those that an operator vouches for.
const (
	ownName  = 0
	anyLogin = 1
)

// loginOf tells names in credentials from each other.
func loginOf(a *edge.Asked) uint32 {
	if a.Login == 0 {
		return ownName
	}
	return uint32(a.Login>>32) | 2
}

// A home is a source that has pairs. Its worth in the table is how many.
type home struct {
	pairs  uint32
	minute uint32
}

func (k *known) init(pairs int) {
	k.homes = meter.NewEvidence[home](pairs, KnownFor, nil)
	k.flows = meter.NewTable[uint32](pairs, nil)
	k.names = meter.NewTable[name](pairs, nil)
	k.nets = meter.NewTable[uint32](pairs, nil)
	k.pairs = meter.NewEvidence(pairs, KnownFor, k.lost)
}

// lost takes an evicted pair off its source.
func (k *known) lost(key uint64, p *pair, now time.Time) {
	k.tell(key)
	k.names.Delete(key)
	if p.flow != 0 {
		k.flows.Delete(p.flow)
	}
	if h := k.homes.Find(p.source, now); h != nil {
		h.pairs = max(h.pairs, 1) - 1
		k.homes.Leave(p.source)
	}
}

func minuteOf(at time.Time) uint32 { return uint32(at.Unix() / 60) }

// recent reports whether what was last seen at minute is remembered at at. It may have been seen later than that, by a clock that has been set back since:
// nobody becomes a stranger for that.
func recent(minute uint32, at time.Time) bool {
	age := int32(minuteOf(at) - minute)
	return max(age, -age) <= int32(KnownFor/time.Minute)
}

// at is how many users the source is known for.
func (k *known) at(source uint64, at time.Time) int {
	h := k.homes.Find(source, at)
	if h == nil {
		return 0
	}
	defer k.homes.Leave(source)
	if !recent(h.minute, at) {
		*h = home{}
	}
	return int(h.pairs)
}

// good reports whether the pair is known, and, if a has credentials, whether they are in the name with which it was accepted: a user is not known for
// what he tries in the name of another one.
func (k *known) good(h uint64, a *edge.Asked, at time.Time) bool {
	p := k.pairs.Find(h, at)
	if p == nil {
		return false
	}
	defer k.pairs.Leave(h)
	return recent(p.minute, at) && (a.Secret == 0 && a.Answer == edge.AnswerNone || p.login == anyLogin || p.login == loginOf(a))
}

// holds reports whether the pair h is known with that login, or it is not known any more with which.
func (k *known) holds(h uint64, login uint32, at time.Time) bool {
	p := k.pairs.Find(h, at)
	if p == nil {
		return false
	}
	defer k.pairs.Leave(h)
	return recent(p.minute, at) && (p.login == anyLogin || p.login == login)
}

// add takes note that the platform accepted the pair h from source, over UDP from flow (else 0), and reports whether that is news, and whether the
// journal was told, as it is once a day at least. A pair whose source is 0 counts for none. Of the flows of a pair the last one is remembered: what a NAT gives to somebody else
// afterwards is known no more.
func (k *known) add(h, source, flow uint64, login uint32, at time.Time) (fresh, told bool) {
	p, fresh := k.pairs.Note(h, true, at) // the platform says so: that is no forgery
	if p == nil {
		return false, false
	}
	return k.keep(p, fresh, h, source, flow, login, at)
}

// earn is add for the pair of whose password came and source, where another one registers with it: what a source counts by, so that one account does not make as
// many users known there as it registers. It takes no place from those that phones are known by; then they count for themselves (false).
func (k *known) earn(h, source uint64, at time.Time) (fresh, earned bool) {
	p, fresh := k.pairs.Note(h, false, at)
	if p == nil {
		return false, false
	}
	fresh, _ = k.keep(p, fresh, h, source, 0, ownName, at)
	return fresh, true
}

// keep fills in the entry p of the pair h, and leaves it.
func (k *known) keep(p *pair, fresh bool, h, source, flow uint64, login uint32, at time.Time) (news, told bool) {
	if !recent(p.minute, at) {
		fresh = true
	}
	now, before := minuteOf(at), p.flow
	if flow == 0 {
		flow = before
	}
	if source == 0 {
		source = p.source
	}
	told = fresh || flow != before || source != p.source || p.day != now/(24*60)
	again := !fresh && p.source == source && p.minute/60 == now/60
	fresh = fresh || p.source != source
	*p = pair{source: source, flow: flow, day: now / (24 * 60), minute: now, login: login}
	k.pairs.Leave(h)
	if told {
		k.tell(h)
	}
	k.moved(before, flow, at)
	if again || source == 0 { // its home knows, to the hour
		return fresh, told
	}
	if one, _ := k.homes.Note(source, true, at); one != nil {
		if fresh {
			one.pairs++
		}
		one.minute = now
		k.homes.Leave(source)
	}
	return fresh, told
}

// moved takes note that a pair was accepted from the flow to, and before that from another or the same one; 0 is none.
func (k *known) moved(from, to uint64, at time.Time) {
	if from != 0 && from != to {
		k.flows.Delete(from)
	}
	if to == 0 {
		return
	}
	if one, _ := k.flows.Enter(to, 0, at); one != nil {
		*one = minuteOf(at)
		k.flows.Leave(to)
	}
}

// drop forgets the pair h.
func (k *known) drop(h uint64, now time.Time) {
	if p, found := k.pairs.Copy(h); found {
		k.pairs.Delete(h)
		k.lost(h, &p, now)
	}
}

// tell lets the journal know that the row of a pair is another one.
func (k *known) tell(key uint64) {
	if j := k.journal.Load(); j != nil {
		j.Mark(key)
	}
}

// learn takes what a final response says of who asked: the nonce of a challenge, and that the platform accepts the user from there.
func (j *Judge) learn(x *edge.Exchange) {
	a, status := &x.Asked, x.Msg.Status
	switch {
	case status == 401 || status == 407:
		x.Asked.Stale = j.challenged(x)
	case status/100 == 2 && accepts(a):
		flow := a.Port
		source := a.Source
		pair, login := j.vouched(a, x.At)
		if a.From.Transport.Stream() { // a connection that is gone has left nothing to know it by
			flow = 0
		}
		if j.wrong.any(x.At) {
			j.wrong.pairs.Delete(j.triedPair(a))
		}
		news := false
		if login != ownName {
			var earned bool
			if news, earned = j.known.earn(j.triedPair(a), source, x.At); earned {
				source = 0
			}
		}
		fresh, told := j.known.add(pair, source, flow, login, x.At)
		if news || fresh && source != 0 {
			j.credit(a, x.At)
		}
		if told {
			if login != ownName || a.Login == 0 {
				j.noteName(pair, User(x), a.From.Remote.Addr(), x.At)
			}
			j.settle(a.Tried(), a.From.Remote.Addr(), x.At)
		}
	}
	if !a.Good && a.Refused(status) {
		j.wrong.add(j.triedPair(a), a.Proven, x.At)
	}
}

// vouched is the pair that the platform vouches for when it accepts a, and the login that it is known with. Whoever registers may have another name in his
// credentials: the platform says that they belong together, and what counts for the source is the one whose password came (learn). In the From of a call it lets many write what they like, as telephone systems must: such a call
// says nothing but whose password came with it, unless both were accepted together before.
func (j *Judge) vouched(a *edge.Asked, at time.Time) (pair uint64, login uint32) {
	pair, login = j.askedPair(a), loginOf(a)
	if a.Login == 0 || a.Method != sip.INVITE || j.known.holds(pair, login, at) {
		return pair, login
	}
	return j.triedPair(a), ownName
}

// accepts reports whether a 2xx to a says that the platform knows its user there: it asked for his password and got it.
func accepts(a *edge.Asked) bool {
	return a.Secret != 0 && a.User != 0 && (a.Method == sip.REGISTER || a.Method == sip.INVITE && a.Answers())
}

// Knows reports whether f is the flow over UDP from which the platform last accepted one of its users, within 30 days: a phone, whether its
// registration is still alive or not.
func (j *Judge) Knows(f edge.Flow, at time.Time) bool {
	if f.Transport.Stream() {
		return false
	}
	key := j.key.AddrPort(f.Remote)
	minute := j.known.flows.Find(key, at)
	if minute == nil {
		return false
	}
	defer j.known.flows.Leave(key)
	return recent(*minute, at)
}

// widest is how many sources KnowsIn looks up one by one.
const widest = 1 << 16

// KnowsIn reports whether the platform accepted a user from anywhere in p within 30 days. Sources are remembered by hash: of more than 65,536 of them
// (IPv4 addresses, IPv6 /64s), in a few milliseconds, it is said whether any source at all is known.
func (j *Judge) KnowsIn(p netip.Prefix, at time.Time) bool {
	p = p.Masked()
	whole, step := 32, 1
	if !p.Addr().Is4() {
		whole, step = 64, 8
	}
	if free := max(0, whole-p.Bits()); 1<<min(free, 30) > widest {
		return j.known.homes.Len() > 0
	}
	for a := p.Addr(); a.IsValid() && p.Contains(a); a = after(a, step) {
		if j.known.at(j.key.Addr(a), at) > 0 {
			return true
		}
	}
	return false
}

// after is the next address to a: of IPv6 (the first step bytes count) that of the next /64. It is not valid after the last one.
func after(a netip.Addr, step int) netip.Addr {
	if step == 1 {
		return a.Next()
	}
	b := a.As16()
	for i := step - 1; i >= 0; i-- {
		if b[i]++; b[i] != 0 {
			return netip.AddrFrom16(b)
		}
	}
	return netip.Addr{}
}
