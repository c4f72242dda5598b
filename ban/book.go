package ban

import (
	"fmt"
	"net/netip"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/ringwall/ringwall/edge"
)

// A Book holds the bans. All methods may be called by any goroutine.
type Book struct {
	cfg   Config
	view  atomic.Pointer[view]
	calls calls
	count counts
	swept time.Time // when groups were; of who calls Tick

	mu       sync.Mutex // guards what follows; nothing is waited for under it
	entries  map[edge.Source]*entry
	queues   [classes]queue
	never    []Exemption
	allowed  map[netip.Prefix]Allowed
	front    map[netip.Addr]time.Time
	groups   groups
	omens    map[netip.Prefix]*omen
	evidence int      // bytes of all messages
	holders  []*entry // entries with messages, the oldest first; some have lost theirs since
	journal  *Journal // nil: none
}

// counts are totals since New.
type counts struct{ banned, prolonged, lifted, evicted, protected atomic.Uint64 }

// New makes an empty book.
func New(cfg Config) (*Book, error) {
	if err := cfg.Validate(); err != nil {
		return nil, err
	}
	b := &Book{cfg: cfg.withDefaults(), entries: map[edge.Source]*entry{}, allowed: map[netip.Prefix]Allowed{}, front: map[netip.Addr]time.Time{}, groups: groups{},
		omens: map[netip.Prefix]*omen{}}
	b.calls.init(b.cfg.Calls)
	b.view.Store(newView())
	return b, nil
}

// SetLengths changes the lengths of the bans to come; those in force keep theirs.
func (b *Book) SetLengths(first, longest time.Duration) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.cfg.First, b.cfg.Longest = first, longest
}

// tell hands changes to who wants to know.
func (b *Book) tell(changes []Change) {
	for _, c := range changes {
		switch c.Kind {
		case Banned:
			b.count.banned.Add(1)
		case Prolonged:
			b.count.prolonged.Add(1)
		case Lifted:
			b.count.lifted.Add(1)
		case Evicted:
			b.count.evicted.Add(1)
		}
		b.cfg.Changed(c)
	}
}

// Add bans a source as o asks, from at on. It returns the ban that is in force then, and whether that is a new one: an automatic order
// changes nothing where as hard a ban is in force already, however often it is repeated. The error is a *ProtectedError for who
// is never banned, ErrFull, or about an order that makes no sense.
func (b *Book) Add(o Order, at time.Time) (ban Ban, fresh bool, err error) {
	if err := o.check(); err != nil {
		return Ban{}, false, err
	}
	b.mu.Lock()
	changes, ban, err := b.add(&o, at)
	b.mu.Unlock()
	b.tell(changes)
	return ban, len(changes) > 0, err
}

// Would returns the sources that Add would begin to ban were there no ban: that of o, and its network, where so many of its neighbours are banned, or
// would be as Would said within a day. The error is what Add would say against it. Nobody is banned.
func (b *Book) Would(o Order, at time.Time) ([]edge.Source, error) {
	if err := o.check(); err != nil {
		return nil, err
	}
	v, from := b.view.Load(), netip.AddrPortFrom(o.Source.Prefix.Addr(), o.Source.Port)
	if why, covered := v.exempt.LookupPrefix(o.Source.Prefix); covered {
		return nil, &ProtectedError{o.Source, why}
	}
	if v.hard.find(from, at.UnixNano()) != nil || v.soft.find(from, at.UnixNano()) != nil {
		return nil, nil
	}
	list := []edge.Source{o.Source}
	if o.alone() {
		b.mu.Lock()
		defer b.mu.Unlock()
		if network, due := b.expect(o.Source, at); due {
			list = append(list, network)
		}
	}
	return list, nil
}

// Widest prefixes that can be banned: nobody means half of the internet.
const (
	widest4 = 8
	widest6 = 19
)

// check refuses orders that make no sense.
func (o *Order) check() error {
	p := o.Source.Prefix
	switch {
	case !p.IsValid() || o.Source.Port != 0 && !p.IsSingleIP():
		return fmt.Errorf("ban %v: no source", o.Source)
	case p.Addr().Is4() && p.Bits() < widest4, p.Addr().Is6() && p.Bits() < widest6:
		return fmt.Errorf("ban %v: wider than /%d (IPv4) or /%d (IPv6) is not taken: it would shut out a good part of the internet", o.Source, widest4, widest6)
	case o.For < 0 || o.For > longestOrder:
		return fmt.Errorf("ban %v for %v: want at most ten years", o.Source, o.For)
	case o.Reason == "":
		return fmt.Errorf("ban %v: no reason", o.Source)
	}
	return nil
}

// longestOrder bounds what an operator may ask for.
const longestOrder = 10 * 366 * 24 * time.Hour

// add is Add under the lock.
func (b *Book) add(o *Order, at time.Time) (changes []Change, _ Ban, _ error) {
	if why, covered := b.view.Load().exempt.LookupPrefix(o.Source.Prefix); covered {
		b.count.protected.Add(1)
		return nil, Ban{}, &ProtectedError{o.Source, why}
	}
	e := b.entries[o.Source]
	if e != nil && e.active() && e.until.Load() > at.UnixNano() && o.By != Operator && (e.hard || !o.Hard || e.by == Operator) {
		b.evidenced(e, o.Evidence, at)
		return nil, e.ban(false), nil
	}
	c := o.class()
	joins := o.alone() && (e == nil || !e.hard || at.UnixNano()-e.since.Load() > int64(groupTime))
	if e == nil {
		victim, ok := b.room(c)
		if !ok {
			return nil, Ban{}, ErrFull
		}
		if victim != nil {
			changes = b.evict(changes, victim, at)
		}
		e = &entry{source: o.Source, first: at.UnixNano()}
		b.entries[o.Source] = e
		if o.Source.Port != 0 {
			changes = b.fewerPorts(changes, e, o.Hard, at)
		}
	} else {
		b.withdraw(e, at)
	}
	b.fill(e, o, at)
	b.enter(e, c)
	ban := e.ban(false)
	changes = append(changes, Change{Banned, at, ban})
	if joins {
		changes = append(changes, b.joined(o.Source, at)...)
	}
	return changes, ban, nil
}

// class is that of the ban that o asks for.
func (o *Order) class() class {
	switch {
	case o.By == Operator:
		return byHand
	case o.Hard:
		return hard
	}
	return soft
}

// fill writes what o says into e, which is in no table and no queue.
func (b *Book) fill(e *entry, o *Order, at time.Time) {
	length := o.For
	if length == 0 {
		length = b.cfg.step(e.offences)
	} else if o.By != Operator {
		length = min(length, b.cfg.Longest)
	}
	e.offences = min(e.offences+1, most)
	e.by, e.hard, e.reason, e.text = o.By, o.Hard, o.Reason, words(o.Text)
	e.parts = slices.Clone(o.Parts[:min(len(o.Parts), maxParts)])
	e.score, e.cost = 0, false
	for _, p := range e.parts {
		e.score += p.Score
	}
	e.since.Store(at.UnixNano())
	e.until.Store(at.Add(length).UnixNano())
	e.hits.Store(0)
	e.last.Store(0)
	e.everything.Store(o.Everything)
	e.meant.Store(o.By == Operator)
	e.spares.Store(b.maySpare(e, at))
	b.evidenced(e, o.Evidence, at)
}

// maySpare reports whether e has flows to spare. Nobody new becomes known, and no call is accepted, from where nothing is read, so it is
// enough to look once.
func (b *Book) maySpare(e *entry, at time.Time) bool {
	p := e.source.Prefix
	return !e.everything.Load() && e.source.Port == 0 && (b.cfg.KnownIn(p, at) || b.calls.within(p))
}

// enter puts e, which is in no table, into force.
func (b *Book) enter(e *entry, c class) {
	v := *b.view.Load()
	t := v.of(e.hard)
	*t = t.with(e)
	b.view.Store(&v)
	b.enqueue(e, c, e.until.Load())
	b.mark(e)
}

// leave takes a ban out of force; e is in no queue then.
func (b *Book) leave(e *entry) {
	v := *b.view.Load()
	t := v.of(e.hard)
	*t = t.without(e)
	b.view.Store(&v)
	b.dequeue(e)
}

// withdraw makes e ready to be filled anew: out of tables and queue, with the offences that still count.
func (b *Book) withdraw(e *entry, at time.Time) {
	e.offences = e.counted(at)
	if e.active() {
		b.leave(e)
	} else {
		b.dequeue(e)
	}
}

// drop forgets e altogether.
func (b *Book) drop(e *entry) {
	if e.active() {
		b.leave(e)
	} else {
		b.dequeue(e)
	}
	b.evidence -= size(e.messages)
	e.messages = nil
	delete(b.entries, e.source)
	b.mark(e)
}

// evict drops e to make room.
func (b *Book) evict(changes []Change, e *entry, at time.Time) []Change {
	if e.active() {
		changes = append(changes, Change{Evicted, at, e.ban(false)})
	}
	b.drop(e)
	return changes
}

// fewerPorts makes room among the banned ports of e's address: the one that would be free first goes.
func (b *Book) fewerPorts(changes []Change, e *entry, hard bool, at time.Time) []Change {
	list, _ := b.view.Load().of(hard).ports.Get(e.source.Prefix)
	if len(list) < portsPerAddr {
		return changes
	}
	return b.evict(changes, slices.MinFunc(list, func(x, y *entry) int { return int(min(max(x.until.Load()-y.until.Load(), -1), 1)) }), at)
}

// evidenced keeps messages of an offence; when all together are too many, entries lose theirs in the order in which they got them.
func (b *Book) evidenced(e *entry, messages [][]byte, at time.Time) {
	if len(messages) == 0 || b.cfg.EvidenceBytes < MaxMessages*MaxBytes {
		return
	}
	if len(e.messages) == 0 {
		b.hold(e)
	}
	b.evidence += e.keep(messages, at)
	for b.evidence > b.cfg.EvidenceBytes && len(b.holders) > 1 {
		oldest := b.holders[0]
		b.holders = b.holders[1:]
		if oldest == e {
			b.holders = append(b.holders, e)
			continue
		}
		b.evidence -= size(oldest.messages)
		oldest.messages = nil
	}
	b.mark(e)
}

// hold notes that e has messages from now on.
func (b *Book) hold(e *entry) {
	if len(b.holders) > 2*len(b.entries)+64 {
		b.holders = slices.DeleteFunc(b.holders, func(e *entry) bool { return len(e.messages) == 0 })
	}
	b.holders = append(b.holders, e)
}

// Lift ends the bans of source and of single ports of it, and forgets their offences. It returns what was lifted, or ErrUnknown if
// there was nothing.
func (b *Book) Lift(source edge.Source, at time.Time) ([]Ban, error) {
	b.mu.Lock()
	changes := b.lift(source, at)
	b.mu.Unlock()
	b.tell(changes)
	if len(changes) == 0 {
		return nil, fmt.Errorf("%v %w", source, ErrUnknown)
	}
	lifted := make([]Ban, len(changes))
	for i, c := range changes {
		lifted[i] = c.Ban
	}
	return lifted, nil
}

func (b *Book) lift(source edge.Source, at time.Time) (changes []Change) {
	network, _ := networkOf(source.Prefix)
	delete(b.omens, network)
	delete(b.groups, network) // who frees one of it does not want to count the others
	gone := func(e *entry) {
		if e.active() {
			changes = append(changes, Change{Lifted, at, e.ban(false)})
		}
		b.drop(e)
	}
	if e := b.entries[source]; e != nil {
		gone(e)
	}
	if source.Port == 0 {
		for _, e := range b.entries {
			if lifts(source, e.source) {
				gone(e)
			}
		}
	}
	return changes
}
